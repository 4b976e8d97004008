"""Goldens of layer norms whose inputs vary so little that their ε decides.

With inputs of unit variance an ε of 1e-5 and one of 1e-6 give the same to five digits. Here every weight is that of the
formula times 1/32, and so are the inputs that parts are given, so that the variances come down to the size of ε.

    python tools/goldens/make_quiet_goldens.py DIR plugins/torch/tests/golden

DIR is the repository of MobileSAM, as for `make_mobile_sam_goldens.py`.
"""

import sys
import warnings
from pathlib import Path

import torch

import formula
import official
from make_decoder_goldens import DIM, ORIGINAL, PATCH, RESIZED, SIDE, small_sam
from prompts import PROMPTS

SCALE = 1 / 32


def quieten(module, prefix: str = "") -> None:
    """The weights of the formula times `SCALE`."""
    formula.fill(module, prefix)
    state = module.state_dict()
    module.load_state_dict({name: value * SCALE if value.is_floating_point() else value for name, value in state.items()})
    module.eval()


def whole() -> tuple[dict, dict]:
    """The small SAM: image embedding, mask input, transformer, and the masks of a click."""
    sam = small_sam()
    quieten(sam)
    grid = SIDE // PATCH
    pixels = torch.from_numpy(formula.image(*RESIZED)).permute(2, 0, 1).float()
    embedding = sam.image_encoder(sam.preprocess(pixels)[None])
    queries = SCALE * torch.from_numpy(formula.uniform("tokens6", 6 * DIM)).reshape(1, 6, DIM)
    image = SCALE * torch.from_numpy(formula.uniform("image", grid * grid * DIM)).reshape(1, DIM, grid, grid)
    out_queries, out_keys = sam.mask_decoder.transformer(image, sam.prompt_encoder.get_dense_pe(), queries)
    mask = torch.from_numpy(formula.mask_logits(4 * grid))[None, None]
    click = PROMPTS[0]
    logits, scores = official.decode(sam, embedding, click, ORIGINAL, RESIZED)
    made = {
        "embedding": embedding[0], "queries": out_queries[0], "keys": out_keys[0],
        "dense": sam.prompt_encoder(points=None, boxes=None, masks=mask)[1][0],
        f"{click.name}.logits": logits, f"{click.name}.scores": scores,
    }
    return made | official.prompt_tensors(click, ORIGINAL), official.shapes(sam)


def tiny_vit_block(tiny_vit) -> tuple[dict, dict]:
    """A block of TinyViT whose windows are padded."""
    block = tiny_vit.TinyViTBlock(16, (10, 10), 2, 7)
    quieten(block, prefix="padded.")
    x = SCALE * torch.from_numpy(formula.uniform("padded.input", 16 * 100)).reshape(1, 100, 16)
    return {"padded": block(x)[0]}, official.shapes(block, prefix="padded.")


def main(repository: Path, out: Path) -> None:
    warnings.filterwarnings("ignore")
    sys.path.insert(0, str(repository))
    from mobile_sam.modeling import tiny_vit_sam  # found only now that the path is set

    torch.set_grad_enabled(False)
    made_by = "segment-anything 1.0, MobileSAM 34bbbfd"
    outputs, weights = {}, {}
    for output, shapes in (whole(), tiny_vit_block(tiny_vit_sam)):
        outputs |= output
        weights |= shapes
    official.save(outputs, weights, made_by, out / "quiet.safetensors", weights_scale=SCALE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
