"""Weights and images that follow from a formula, so that goldens need not carry them.

Every value is a function of a tensor's name, its shape and the element's index, in integer arithmetic and two rounded
float32 operations. Other languages reproduce them bit for bit (`plugins/torch/tests/common/formula.rs`).
"""

import numpy as np

MASK = (1 << 64) - 1


def fnv1a(name: str) -> int:
    """FNV-1a, 64 bit, of the UTF-8 name."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(name: str, count: int) -> np.ndarray:
    """`count` values in [-1, 1), float32: the top 24 bits of SplitMix64 seeded with the name's hash."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def offset_and_scale(name: str, shape) -> tuple[float, float]:
    """What a tensor's values are spread around, and how far: enough that every part of the network matters."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return 1.0, 0.5
    if leaf == "attention_biases":
        return 0.0, 0.5
    if leaf in ("pos_embed", "rel_pos_h", "rel_pos_w"):
        return 0.0, 0.1
    if leaf == "positional_encoding_gaussian_matrix":
        return 0.0, 1.0
    if len(shape) == 1:
        return (1.0, 0.25) if leaf == "weight" else (0.0, 0.25)
    if name.endswith(("_embed.weight", "_token.weight", "_tokens.weight")) or ".point_embeddings." in name:
        return 0.0, 1.0  # looked up, not multiplied
    fan_in = int(np.prod(shape[1:]))
    return 0.0, float(np.sqrt(3.0 / fan_in))


def tensor(name: str, shape) -> np.ndarray:
    """The tensor of this name, float32."""
    offset, scale = offset_and_scale(name, shape)
    values = np.float32(offset) + np.float32(scale) * uniform(name, int(np.prod(shape)))
    return values.reshape(shape)


def fill(module, prefix: str = "") -> None:
    """Sets every parameter and buffer of a torch module to its formula (counters of batches to 0), for evaluation.

    `eval` comes last: TinyViT gathers its attention biases then, and would keep those from before.
    """
    import torch

    state = module.state_dict()
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros_like(value)
        else:
            state[name] = torch.from_numpy(tensor(prefix + name, tuple(value.shape)))
    module.load_state_dict(state)
    module.eval()


def image(width: int, height: int) -> np.ndarray:
    """An RGB image with slow and fast changes, edges and unlike channels; uint8, (height, width, 3)."""
    x = np.arange(width, dtype=np.int64)[None, :, None]
    y = np.arange(height, dtype=np.int64)[:, None, None]
    c = np.arange(3, dtype=np.int64)[None, None, :]
    slow = (x * x // 311 + y * (5 + 3 * c) // 4 + 61 * c) % 256
    tiles = ((x // 37 + y // 53) % 2) * (40 + 50 * c)
    disc = ((x * 2 - width) ** 2 + (y * 2 - height) ** 2 < (min(width, height) * 2 // 3) ** 2) * (90 - 30 * c)
    return ((slow + tiles + disc) % 256).astype(np.uint8)


def mask_logits(size: int) -> np.ndarray:
    """Low-resolution logits of a disc right of the middle, as an earlier result would give them; (size, size)."""
    x = np.arange(size, dtype=np.int64)[None, :]
    y = np.arange(size, dtype=np.int64)[:, None]
    squared = (8 * x - 5 * size) ** 2 + (8 * y - 4 * size) ** 2
    return np.clip(16 - squared * 16 // (4 * size * size), -16, 16).astype(np.float32)
