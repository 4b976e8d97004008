"""Goldens of the prompt encoder, the two-way transformer, the mask decoder and a whole small SAM.

Made by the official package (`segment-anything` 1.0), weights and image by formula:

    python tools/goldens/make_decoder_goldens.py plugins/torch/tests/golden
"""

import sys
from functools import partial
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

import formula
import official
from prompts import PROMPTS

SIDE, PATCH, DIM = 96, 16, 32
ORIGINAL, RESIZED = (300, 211), (96, 68)
MADE_BY = "segment-anything 1.0"


def small_sam() -> Sam:
    """The official architecture with few channels. Two heads of attention would hide a wrong split: eight are kept."""
    grid = SIDE // PATCH
    sam = Sam(
        ImageEncoderViT(
            img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=2, num_heads=2, mlp_ratio=4, out_chans=DIM,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), qkv_bias=True, use_rel_pos=True, window_size=4,
            global_attn_indexes=(1,),
        ),
        PromptEncoder(
            embed_dim=DIM, image_embedding_size=(grid, grid), input_image_size=(SIDE, SIDE), mask_in_chans=16
        ),
        MaskDecoder(
            num_multimask_outputs=3, transformer_dim=DIM, iou_head_depth=3, iou_head_hidden_dim=DIM,
            transformer=TwoWayTransformer(depth=2, embedding_dim=DIM, mlp_dim=2 * DIM, num_heads=8),
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    formula.fill(sam)
    return sam


def main(out: Path) -> None:
    torch.set_grad_enabled(False)
    sam = small_sam()
    weights = official.shapes(sam)

    prompt_encoder = {"dense_pe": sam.prompt_encoder.get_dense_pe()[0]}
    for prompt in PROMPTS:
        sparse, dense = official.encode_prompt(sam.prompt_encoder, prompt, ORIGINAL, RESIZED)
        prompt_encoder |= official.prompt_tensors(prompt, ORIGINAL)
        prompt_encoder[f"{prompt.name}.sparse"] = sparse[0]
        if prompt.mask:
            prompt_encoder[f"{prompt.name}.dense"] = dense[0]
    official.save(prompt_encoder, weights, MADE_BY, out / "prompt_encoder.safetensors")

    cells = (SIDE // PATCH) ** 2
    transformer = {}
    for tokens in (6, 21):
        queries = torch.from_numpy(formula.uniform(f"tokens{tokens}", tokens * DIM)).reshape(1, tokens, DIM)
        image = torch.from_numpy(formula.uniform("image", cells * DIM)).reshape(1, DIM, SIDE // PATCH, SIDE // PATCH)
        q, k = sam.mask_decoder.transformer(image, sam.prompt_encoder.get_dense_pe(), queries)
        transformer |= {f"tokens{tokens}.queries": q[0], f"tokens{tokens}.keys": k[0]}
    official.save(transformer, weights, MADE_BY, out / "two_way_transformer.safetensors")

    pixels = formula.image(*RESIZED)
    embedding = sam.image_encoder(sam.preprocess(torch.from_numpy(pixels).permute(2, 0, 1).float())[None])
    whole = {"embedding": embedding[0]}
    for prompt in PROMPTS:
        logits, scores = official.decode(sam, embedding, prompt, ORIGINAL, RESIZED)
        whole |= official.prompt_tensors(prompt, ORIGINAL)
        whole |= {f"{prompt.name}.logits": logits, f"{prompt.name}.scores": scores}
    print("logits: standard deviation", float(torch.cat([v.flatten() for k, v in whole.items() if "logits" in k]).std()))
    official.save(whole, weights, MADE_BY, out / "sam_small.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
