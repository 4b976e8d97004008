"""Makes what the sides run: `python -m bench.export NAME FOLDER` writes the checkpoint and, for SAM, two ONNX files.

In a process of its own, so that its memory is given back before anything is measured.
"""

import sys
import warnings
from pathlib import Path

import torch
from reference import models, names
from segment_anything.utils.onnx import SamOnnxModel


def main(name: str, folder: Path) -> None:
    warnings.filterwarnings("ignore")  # of the tracer, about sizes that are constant here
    model = models.build(name)
    models.save(name, model, folder / names.checkpoint(name))
    if name in names.SAM:
        export_sam(name, model, folder)


def export_sam(name: str, sam, folder: Path) -> None:
    image = torch.zeros(1, 3, 1024, 1024)
    export(sam.image_encoder, (image,), folder / f"{name}.encoder.onnx", ["image"], ["image_embeddings"])
    # The official export of the decoder: prompt encoding, decoding and upscaling to the original size in one graph.
    inputs = {
        "image_embeddings": torch.zeros(1, 256, 64, 64),
        "point_coords": torch.zeros(1, 2, 2),
        "point_labels": torch.tensor([[1.0, -1.0]]),
        "mask_input": torch.zeros(1, 1, 256, 256),
        "has_mask_input": torch.zeros(1),
        "orig_im_size": torch.tensor([1200.0, 1800.0]),
    }
    export(
        SamOnnxModel(sam, return_single_mask=False), tuple(inputs.values()), folder / f"{name}.decoder.onnx",
        list(inputs), ["masks", "iou_predictions", "low_res_masks"],
        {"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
    )


def export(module, inputs, path: Path, input_names, output_names, dynamic_axes=None) -> None:
    partial = path.with_suffix(".partial")
    torch.onnx.export(
        module.eval(), inputs, str(partial), input_names=input_names, output_names=output_names, dynamic_axes=dynamic_axes,
        opset_version=17, do_constant_folding=True, dynamo=False,
    )
    partial.replace(path)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
