"""Official models with random weights, saved in the layout of the official checkpoint files.

Random weights serve a comparison as well as trained ones: whatever one side does differently shows at once. Their scale is
chosen so that every part matters: products keep unit variance, position tables are not zero, logits come out at unit scale.
"""

from pathlib import Path

import formula
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from . import mobile_sam, names, segment_anything_2
from .segment_anything_2 import SAM2Base

SEED = 20240

torch.set_grad_enabled(False)


def build(name: str, seed: int = SEED) -> Sam | SAM2Base:
    """The model of this name with random weights, ready to run.

    `vit_t` has the weights of `tools/goldens/formula.py`, which the committed goldens of MobileSAM were made with.
    """
    if name in names.SAM_2:
        return segment_anything_2.build(name, seed)
    if name == "vit_t":
        sam = mobile_sam.build()
        for tensor_name, tensor in mobile_sam.official_state_dict(sam).items():
            if not tensor_name.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(formula.tensor(tensor_name, tuple(tensor.shape))))
        return sam
    sam = sam_model_registry[name]().eval()
    random = torch.Generator().manual_seed(seed)
    for tensor_name, tensor in sam.state_dict().items():
        offset, scale = formula.offset_and_scale(tensor_name, tuple(tensor.shape))
        tensor.uniform_(offset - scale, offset + scale, generator=random)
    bring_to_unit_scale(sam.mask_decoder, sam.prompt_encoder, random)
    return sam


def bring_to_unit_scale(decoder, prompt_encoder, random: torch.Generator) -> None:
    """Scales the last layers of the decoder: each mask token's logits to standard deviation 1, scores to at most 1.

    Measured on an embedding of noise, which is what the encoder's last normalisation makes of random weights.
    """
    click = (torch.tensor([[[400.0, 300.0]]]), torch.ones(1, 1, dtype=torch.int))
    sparse, dense = prompt_encoder(points=click, boxes=None, masks=None)
    embedding = torch.randn((1, 256, *prompt_encoder.image_embedding_size), generator=random)
    logits, scores = decoder.predict_masks(embedding, prompt_encoder.get_dense_pe(), sparse, dense)
    lasts = [mlp.layers[-1] for mlp in decoder.output_hypernetworks_mlps]
    for last, scale in [*zip(lasts, logits[0].std((1, 2))), (decoder.iou_prediction_head.layers[-1], scores.abs().max())]:
        last.weight /= scale
        last.bias /= scale


def save(name: str, model: Sam | SAM2Base, path: Path) -> None:
    """Writes the weights as the official files hold them."""
    if name in names.SAM_2:
        state = {"model": model.state_dict()}
    elif name == "vit_t":
        state = mobile_sam.official_state_dict(model)
    else:
        state = model.state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
