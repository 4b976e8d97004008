"""Goldens of TinyViT's parts and of a whole MobileSAM, made by the official code.

MobileSAM is not on PyPI. With its repository (github.com/ChaoningZhang/MobileSAM, made at commit 34bbbfd) in DIR and
`timm` installed:

    python tools/goldens/make_mobile_sam_goldens.py DIR plugins/torch/tests/golden

Weights and images are formulas (`formula.py`), so the files hold outputs only, thinned where they are large.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn

import formula
import official
from prompts import PROMPTS

MADE_BY = "MobileSAM 34bbbfd"
EMBEDDING_STEP = 251
"""Every 251st element of the embedding, counted in (C, H, W) order, is kept: no multiple of a power of two."""
LOGITS_STEP = 13
"""Every 13th row and column of the low-resolution logits is kept."""
IMAGES = {"wide": (1024, 683), "tall": (333, 517), "large": (1600, 1203)}
"""Original sizes (width, height): no resizing, enlarging, and shrinking."""


def run(name: str, module, channels: int, side: int, tokens: bool) -> tuple[dict, dict]:
    """The output of one part and the shapes of its weights, on an input by formula: tokens (1, side², C) or an image
    (1, C, side, side)."""
    formula.fill(module, prefix=f"{name}.")
    x = torch.from_numpy(formula.uniform(f"{name}.input", channels * side * side))
    x = x.reshape((1, side * side, channels) if tokens else (1, channels, side, side))
    y = module(x)[0]
    return {name: y if y.dim() == 2 else y.flatten(1).T}, official.shapes(module, prefix=f"{name}.")


def parts(tiny_vit) -> tuple[dict, dict]:
    """Every part in small; all outputs are tokens, (cells, channels)."""

    def attention(dim: int, heads: int, window: int, side: int):
        return tiny_vit.TinyViTBlock(dim, (side, side), heads, window)

    def merging(dim: int, out: int, side: int):
        return tiny_vit.PatchMerging((side, side), dim, out, nn.GELU)

    made = (
        run("patch_embed", tiny_vit.PatchEmbed(3, 16, 32, nn.GELU), 3, 32, False),
        run("mb_conv", tiny_vit.MBConv(8, 8, 4.0, nn.GELU, 0.0), 8, 9, False),
        run("merge_halving", merging(8, 16, 10), 8, 10, True),
        run("merge_keeping", merging(8, 320, 5), 8, 5, True),
        run("padded", attention(16, 2, 7, 10), 16, 10, True),
        run("one_window", attention(16, 4, 7, 7), 16, 7, True),
        run("window_14", attention(16, 2, 14, 16), 16, 16, True),
    )
    outputs, weights = {}, {}
    for output, shape in made:
        outputs |= output
        weights |= shape
    return outputs, weights


def whole(build) -> tuple[dict, dict]:
    """The full model on images that need no resizing, enlarging and shrinking, with every kind of prompt."""
    from mobile_sam.utils.transforms import ResizeLongestSide

    sam = build()
    formula.fill(sam)
    made = {}
    for name, original in IMAGES.items():
        pixels = ResizeLongestSide(1024).apply_image(formula.image(*original))
        resized = pixels.shape[1], pixels.shape[0]
        embedding = sam.image_encoder(sam.preprocess(torch.from_numpy(pixels).permute(2, 0, 1).float())[None])
        made[f"{name}.original"] = np.array(original, np.int32)
        made[f"{name}.embedding"] = embedding.flatten()[::EMBEDDING_STEP].clone()
        for prompt in PROMPTS if name == "wide" else PROMPTS[:1] + PROMPTS[4:6]:
            logits, scores = official.decode(sam, embedding, prompt, original, resized)
            print(name, prompt.name, "logits", float(logits.mean()), float(logits.std()), "scores", scores.tolist())
            made |= {f"{name}.{k}": v for k, v in official.prompt_tensors(prompt, original).items()}
            made[f"{name}.{prompt.name}.logits"] = logits[:, ::LOGITS_STEP, ::LOGITS_STEP].clone()
            made[f"{name}.{prompt.name}.scores"] = scores
    return made, official.shapes(sam)


def main(repository: Path, out: Path) -> None:
    warnings.filterwarnings("ignore")
    sys.path.insert(0, str(repository))
    from mobile_sam import sam_model_registry  # found only now that the path is set
    from mobile_sam.modeling import tiny_vit_sam

    torch.set_grad_enabled(False)
    official.save(*parts(tiny_vit_sam), MADE_BY, out / "tiny_vit_parts.safetensors")
    official.save(*whole(sam_model_registry["vit_t"]), MADE_BY, out / "mobile_sam.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
