"""The official SAM 2 and 2.1 with random weights, built from the configurations of the `sam2` package.

Left as they start, their position tables and biases are zero and all scores one half. Here every part matters, and logits
come out so large that single masks are about as often stable as not, and that some logits of the others are clamped.
"""

from pathlib import Path

import formula
import torch
from sam2.build_sam import build_sam2
from sam2.modeling.sam2_base import SAM2Base

LETTERS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
ADDED = ("pos_embed", "pos_embed_window", "no_mem_embed")
"""Tensors that are added to features of unit scale, not multiplied with them."""
SINGLE_MASK_SCALE, MASKS_SCALE = 4.0, 16.0
"""Standard deviations of logits. Of normally distributed ones at 4, the part between -0.05 and 0.05 is what a mask of half
the image may have at most to count as stable; at 16, one in twenty is beyond the 32 that official outputs are clamped to."""
SCORE_SCALE = 2.0
"""Of scores before the sigmoid."""


def official(name: str, checkpoint: Path | None = None) -> SAM2Base:
    """The model of this name for images, on the CPU, as the package sets it up: with the fallback of unstable masks."""
    version, _, size = name.split("_", 2)
    configuration = f"configs/{version}/{version}_hiera_{LETTERS[size]}.yaml"
    return build_sam2(configuration, None if checkpoint is None else str(checkpoint), device="cpu")


def build(name: str, seed: int) -> SAM2Base:
    """The model of this name with random weights, ready to run."""
    model = official(name)
    random = torch.Generator().manual_seed(seed)
    for tensor_name, tensor in model.state_dict().items():
        offset, scale = offset_and_scale(tensor_name, tuple(tensor.shape))
        tensor.uniform_(offset - scale, offset + scale, generator=random)
    bring_to_scale(model, random)
    return model


def offset_and_scale(name: str, shape) -> tuple[float, float]:
    if name.rsplit(".", 1)[-1] in ADDED:
        return 0.0, 0.5
    return formula.offset_and_scale(name, shape)


def bring_to_scale(model: SAM2Base, random: torch.Generator) -> None:
    """Scales the last layers of encoder and decoder: features to standard deviation 1, outputs to the scales above.

    Measured on a click into an image of noise.
    """
    encoder, decoder, prompts = model.image_encoder, model.sam_mask_decoder, model.sam_prompt_encoder
    stages = encoder.trunk(torch.randn((1, 3, model.image_size, model.image_size), generator=random))
    for lateral, stage in zip(encoder.neck.convs, reversed(stages)):
        divide(lateral.conv, lateral(stage).std())
    (finest, finer, coarse, _), _ = encoder.neck(stages)
    click = (torch.tensor([[[400.0, 300.0]]]), torch.ones(1, 1, dtype=torch.int))
    sparse, dense = prompts(points=click, boxes=None, masks=None)
    logits, scores, _, object_scores = decoder.predict_masks(
        image_embeddings=coarse + model.no_mem_embed.reshape(1, -1, 1, 1), image_pe=prompts.get_dense_pe(),
        sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, repeat_image=False,
        high_res_features=[decoder.conv_s0(finest), decoder.conv_s1(finer)],
    )
    for index, mlp in enumerate(decoder.output_hypernetworks_mlps):
        divide(mlp.layers[-1], logits[0, index].std() / (SINGLE_MASK_SCALE if index == 0 else MASKS_SCALE))
    divide(decoder.iou_prediction_head.layers[-1], scores.logit().abs().max() / SCORE_SCALE)
    divide(decoder.pred_obj_score_head.layers[-1], object_scores.abs().max() / SCORE_SCALE)


def divide(layer, by: torch.Tensor) -> None:
    layer.weight /= by
    layer.bias /= by
