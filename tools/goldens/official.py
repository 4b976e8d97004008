"""Runs the official modules on prompts and packs what they give."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

import formula
from prompts import Prompt


def scaled(coords: np.ndarray, original: tuple[int, int], resized: tuple[int, int]) -> np.ndarray:
    """Pixels of the original image to pixels of the model's input, as `ResizeLongestSide.apply_coords`; (w, h)."""
    factors = np.array([resized[0] / original[0], resized[1] / original[1]])
    return (coords.reshape(-1, 2).astype(np.float64) * factors).astype(np.float32)


def encode_prompt(encoder, prompt: Prompt, original: tuple[int, int], resized: tuple[int, int]):
    """Sparse (1, T, C) and dense (1, C, h, w) embeddings of one prompt."""
    points = None
    if prompt.points:
        coords = scaled(prompt.points_in(*original), original, resized)
        points = (torch.from_numpy(coords)[None], torch.from_numpy(prompt.labels())[None])
    box = prompt.box_in(*original)
    if box is not None:
        box = torch.from_numpy(scaled(box, original, resized)).reshape(1, 4)
    mask = torch.from_numpy(formula.mask_logits(encoder.mask_input_size[0]))[None, None] if prompt.mask else None
    return encoder(points=points, boxes=box, masks=mask)


def decode(model, embedding, prompt: Prompt, original, resized):
    """Logits (4, h, w) and scores (4) of one prompt: the single mask, then the three of multimask output."""
    sparse, dense = encode_prompt(model.prompt_encoder, prompt, original, resized)
    parts = [
        model.mask_decoder(
            image_embeddings=embedding, image_pe=model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=multimask,
        )
        for multimask in (False, True)
    ]
    logits, scores = (torch.cat([part[i][0] for part in parts]) for i in (0, 1))
    return logits, scores


def prompt_tensors(prompt: Prompt, original: tuple[int, int]) -> dict[str, np.ndarray]:
    """The prompt itself, in pixels of the original image."""
    out = {}
    if prompt.points:
        out[f"{prompt.name}.points"] = prompt.points_in(*original)
        out[f"{prompt.name}.labels"] = prompt.labels()
    if prompt.box is not None:
        out[f"{prompt.name}.box"] = prompt.box_in(*original)
    if prompt.mask:
        out[f"{prompt.name}.has_mask"] = np.ones(1, np.uint8)
    return out


def shapes(module, prefix: str = "") -> dict[str, list[int]]:
    """Names and shapes of a module's tensors: with the formula, its weights."""
    return {prefix + name: list(value.shape) for name, value in module.state_dict().items()}


def save(
    tensors: dict, weights: dict[str, list[int]], made_by: str, path: Path, weights_scale: float = 1,
    checkpoint_metadata: dict[str, str] | None = None,
) -> None:
    """Writes outputs, and the names and shapes of the weights as the metadata `weights`, with what they are times and what
    the metadata of a checkpoint with them must say."""
    arrays = {k: np.ascontiguousarray(v.numpy() if isinstance(v, torch.Tensor) else v) for k, v in tensors.items()}
    metadata = {"made_by": made_by, "torch": torch.__version__, "weights": json.dumps(weights, separators=(",", ":"))}
    if weights_scale != 1:
        metadata["weights_scale"] = str(weights_scale)
    if checkpoint_metadata:
        metadata["checkpoint_metadata"] = json.dumps(checkpoint_metadata)
    save_file(arrays, path, metadata=metadata)
    print(path, path.stat().st_size)
