"""The demo model: the original SAM architecture in small, and its files."""

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from scenes import SIZE

PATCH, WIDTH = 16, 64
GRID = SIZE // PATCH
ENCODER = dict(embed_dim=128, depth=6, num_heads=4, window_size=8, global_attn_indexes=[2, 5])
DECODER_HEADS = 8


def build():
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=SIZE, patch_size=PATCH, mlp_ratio=4, qkv_bias=True, use_rel_pos=True, out_chans=WIDTH,
            norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6), **ENCODER,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=WIDTH, image_embedding_size=(GRID, GRID), input_image_size=(SIZE, SIZE), mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3, transformer_dim=WIDTH, iou_head_depth=3, iou_head_hidden_dim=WIDTH,
            transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=256, num_heads=DECODER_HEADS),
        ),
    )


def load(path):
    from safetensors.torch import load_file

    model = build()
    state = load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)
    return model


def save(model, path):
    """Writes `path`.pth, laid out like the official checkpoints, and `path`.safetensors in half precision, with what
    shapes do not tell in its metadata. Both hold the same values."""
    from safetensors.torch import save_file

    names = [name for name in model.state_dict() if name not in ("pixel_mean", "pixel_std")]
    half = {name: model.state_dict()[name].detach().half().contiguous() for name in names}
    torch.save({name: tensor.float() for name, tensor in half.items()}, path + ".pth")
    save_file(half, path + ".safetensors", metadata={
        "format": "pt", "architecture": "sam_vit", "image_size": str(SIZE), "patch_size": str(PATCH),
        "num_heads": str(ENCODER["num_heads"]), "window_size": str(ENCODER["window_size"]),
        "global_attn_indexes": ",".join(map(str, ENCODER["global_attn_indexes"])),
        "decoder_num_heads": str(DECODER_HEADS),
    })


def decode(model, embeddings, points, boxes, logits, multimask):
    """Masks for N prompts, each on an image embedding of its own: logits (N, M, 64, 64), predicted IoU (N, M).

    The official decoder decodes many prompts for one image. In training every prompt brings its own embedding
    (N, C, GRID, GRID), so a whole batch of images is decoded at once. `points` is (coordinates, labels) or None.
    """
    sparse, dense = model.prompt_encoder(points=points, boxes=boxes, masks=logits)
    decoder, count = model.mask_decoder, len(embeddings)
    tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(count, -1, -1)
    positions = model.prompt_encoder.get_dense_pe().expand(count, -1, -1, -1)
    queries, keys = decoder.transformer(embeddings + dense, positions, torch.cat([tokens, sparse], 1))
    features = decoder.output_upscaling(keys.transpose(1, 2).reshape(embeddings.shape))
    mlps = decoder.output_hypernetworks_mlps
    weights = torch.stack([mlp(queries[:, 1 + i]) for i, mlp in enumerate(mlps)], 1)
    masks = torch.einsum("nmc,nchw->nmhw", weights, features)
    which = slice(1, None) if multimask else slice(0, 1)
    return masks[:, which].float(), decoder.iou_prediction_head(queries[:, 0])[:, which].float()
