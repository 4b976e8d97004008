"""MobileSAM from packages that can be installed.

The official code is no package. Its image encoder is the TinyViT that `timm` carries, with the third downsampling kept at
stride 1 and SAM's neck behind; prompt encoder and mask decoder are those of `segment-anything`. With the same weights
its embeddings equal those of the official code (`tools/parity` checks logits made by that code as well).
"""

import re

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from timm.layers import set_fused_attn
from timm.models.tiny_vit import TinyVit

IMAGE_SIZE, GRID, EMBEDDING = 1024, 64, 256
WIDTHS = (64, 128, 160, 320)


class ImageEncoder(torch.nn.Module):
    """Images (N, 3, 1024, 1024) to embeddings (N, 256, 64, 64)."""

    img_size = IMAGE_SIZE

    def __init__(self) -> None:
        super().__init__()
        set_fused_attn(False)  # the official code writes attention out
        self.trunk = TinyVit(embed_dims=WIDTHS, num_heads=(2, 4, 5, 10), window_sizes=(7, 7, 14, 7), drop_path_rate=0.0)
        self.trunk.stages[3].downsample.conv2.conv.stride = (1, 1)
        self.neck = torch.nn.Sequential(
            torch.nn.Conv2d(WIDTHS[-1], EMBEDDING, 1, bias=False),
            LayerNorm2d(EMBEDDING),
            torch.nn.Conv2d(EMBEDDING, EMBEDDING, 3, padding=1, bias=False),
            LayerNorm2d(EMBEDDING),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.neck(self.trunk.stages(self.trunk.patch_embed(images)))


def build() -> Sam:
    """A whole MobileSAM with the weights `timm` and `segment-anything` start from."""
    return Sam(
        ImageEncoder(),
        PromptEncoder(
            embed_dim=EMBEDDING, image_embedding_size=(GRID, GRID), input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
        ),
        MaskDecoder(
            num_multimask_outputs=3, transformer_dim=EMBEDDING, iou_head_depth=3, iou_head_hidden_dim=256,
            transformer=TwoWayTransformer(depth=2, embedding_dim=EMBEDDING, mlp_dim=2048, num_heads=8),
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    ).eval()


def official_state_dict(sam: Sam) -> dict[str, torch.Tensor]:
    """The weights under the names of an official `mobile_sam.pt`; the tensors are shared with `sam`."""
    return {official_name(name): tensor for name, tensor in sam.state_dict().items()}


def official_name(name: str) -> str:
    """The official name of a tensor of `build()`."""
    if not name.startswith("image_encoder.trunk."):
        return name
    name = name.removeprefix("image_encoder.trunk.")
    name = re.sub(r"\.conv\.(?=[^.]+$)", ".c.", name)
    name = re.sub(r"^patch_embed\.conv([12])\.", lambda m: f"patch_embed.seq.{2 * int(m[1]) - 2}.", name)
    # timm merges patches at the start of a stage, the official code at the end of the one before.
    name = re.sub(r"^stages\.(\d)\.downsample\.", lambda m: f"layers.{int(m[1]) - 1}.downsample.", name)
    name = re.sub(r"^stages\.", "layers.", name)
    name = re.sub(r"^head\.norm\.", "norm_head.", name)
    name = re.sub(r"^head\.fc\.", "head.", name)
    return "image_encoder." + name
