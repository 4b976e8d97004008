"""Writes the files that the tests of `crates/checkpoint` read, with the real `torch.save`.

    pip install torch segment-anything torchvision sam2
    git clone https://github.com/ChaoningZhang/MobileSAM
    python tools/make_checkpoint_fixtures.py --mobile-sam MobileSAM

Two kinds of files go to `crates/checkpoint/tests/data/`:

* `torch/*.pth`: tiny checkpoints in every form that `torch.save` gives them. Tensors hold 0, 1, 2, ... in row-major
  order unless a comment says otherwise, so that the tests know their values.
* `official/*.txt`: names and shapes of all tensors of the official models, as their own code makes them. Lines marked
  with `#` are parameters that are trained but not used to make masks of an image.
"""

import argparse
import os
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

DATA = Path(__file__).resolve().parent.parent / "crates" / "checkpoint" / "tests" / "data"


# Of SAM 2: what remembers the frames of a video, and makes no masks of an image.
VIDEO_PARTS = (
    "memory_attention.", "memory_encoder.", "mask_downsample.", "maskmem_tpos_enc", "no_mem_pos_enc",
    "no_obj_embed_spatial", "no_obj_ptr", "obj_ptr_proj.", "obj_ptr_tpos_proj.",
)


def counted(*shape, dtype=torch.float32):
    """A tensor holding 0, 1, 2, ..."""
    count = 1
    for size in shape:
        count *= size
    return torch.arange(count).reshape(shape).to(dtype)


class RunsCode:
    """What a hostile file holds: unpickling it would call `os.system`."""

    def __reduce__(self):
        return os.system, ("echo this must never be run",)


def small_module():
    module = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, 1, bias=False), norm=nn.BatchNorm2d(3)))
    module.conv.weight.data = counted(3, 2, 1, 1)
    module.norm.weight.data = counted(3)
    return module


def trained_checkpoint():
    """What a training script keeps: weights, the state of the optimiser, numbers and settings."""
    module = small_module()
    optimiser = torch.optim.AdamW(module.parameters())
    module(torch.ones(2, 2, 1, 1)).sum().backward()
    optimiser.step()
    module.conv.weight.data = counted(3, 2, 1, 1)
    return {
        "epoch": 12,
        "best_iou": 0.75,
        "note": None,
        "seen": 1 << 70,
        "tags": ["a", ("b", {"c"})],
        "shape": torch.Size([3, 2]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "state_dict": module.state_dict(),
        "optimizer": optimiser.state_dict(),
    }


def views():
    """Tensors that share one storage of 24 elements, some of them not contiguous."""
    base = counted(4, 6)
    return {
        "base": base,
        "tied": base,
        "rows": base[1:3],
        "columns": base[:, 2:5],
        "transposed": base.t(),
        "every_second": base[::2, 1::2],
        "one": base[2, 3],
    }


def dtypes():
    kinds = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.uint8]
    tensors = {str(kind).removeprefix("torch."): counted(2, 3, dtype=kind) for kind in kinds}
    tensors["bool"] = torch.tensor([True, False, True])
    tensors["empty"] = torch.empty(0, 3)
    tensors["scalar"] = torch.tensor(2.5)
    return tensors


def with_attribute():
    """A parameter with a Python attribute, which PyTorch saves through `_rebuild_from_type_v2`."""
    parameter = nn.Parameter(counted(2, 2))
    parameter.lr_scale = 0.5
    return {"weight": parameter}


def torch_files():
    state_dict = small_module().state_dict()
    files = {f"protocol_{n}": (state_dict, {"pickle_protocol": n}) for n in (2, 3, 4, 5)}
    files["legacy"] = state_dict, {"_use_new_zipfile_serialization": False}
    plain = {
        "trained": trained_checkpoint(),
        "views": views(),
        "dtypes": dtypes(),
        "parameters": {"weight": nn.Parameter(counted(2, 2))},
        "with_attribute": with_attribute(),
        "expanded": {"weight": counted(3, 1).expand(3, 1000)},
        "unread_dtype": {"weight": counted(2, 2, dtype=torch.uint16)},
        "whole_module": nn.Linear(2, 2),
        "no_tensors": {"epoch": 1, "settings": {"lr": 0.1}},
        "bare_tensor": counted(2, 2),
        "runs_code": {"weight": counted(2, 2), "extra": RunsCode()},
    }
    return files | {name: (value, {}) for name, value in plain.items()}


def official_models(mobile_sam):
    from segment_anything import sam_model_registry

    models = {name: sam_model_registry[name] for name in ("vit_b", "vit_l", "vit_h")}
    if mobile_sam:
        sys.path.insert(0, str(mobile_sam))
        from mobile_sam import sam_model_registry as mobile_registry

        models["vit_t"] = mobile_registry["vit_t"]
    return models | sam2_models()


def sam2_models():
    """SAM 2 and 2.1: the smallest of the first, all of the second."""
    from sam2.build_sam import build_sam2

    names = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
    made = {f"sam2.1_hiera_{name}": f"configs/sam2.1/sam2.1_hiera_{short}.yaml" for name, short in names.items()}
    made["sam2_hiera_tiny"] = "configs/sam2/sam2_hiera_t.yaml"
    return {name: lambda config=config: build_sam2(config, device="cpu") for name, config in made.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mobile-sam", type=Path, help="a clone of MobileSAM; without it vit_t.txt stays as it is")
    args = parser.parse_args()
    for folder in ("torch", "official"):
        (DATA / folder).mkdir(parents=True, exist_ok=True)
    for name, (value, options) in torch_files().items():
        torch.save(value, DATA / "torch" / f"{name}.pth", **options)
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), DATA / "torch" / "torchscript.pth")
    for name, build in official_models(args.mobile_sam).items():
        # ViT-H would take 2.5 GB; the constructors of TinyViT and SAM 2 read values, which shapes alone do not have.
        with torch.device("meta" if name in ("vit_b", "vit_l", "vit_h") else "cpu"):
            model = build()
        unused = ("image_encoder.head.", "image_encoder.norm_head.", *VIDEO_PARTS)
        with open(DATA / "official" / f"{name}.txt", "w") as lines:
            parameters = {key for key, _ in model.named_parameters()}
            for key, tensor in model.state_dict().items():
                mark = " #" if key in parameters and key.startswith(unused) else ""
                kind = "" if key in parameters else " buffer"
                lines.write(f"{key} {'x'.join(map(str, tensor.shape)) or 'scalar'}{kind}{mark}\n")


if __name__ == "__main__":
    main()
