"""A mask that was found in an image, and what it was found by."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Found:
    mask: np.ndarray
    """bool (height, width), as `np.packbits` along the last axis"""
    area: int
    box: tuple[float, float, float, float]
    """Corners: left, top, right and bottom, the last two of the last pixels inside, as the official code has them."""
    predicted_iou: float
    stability: float
    point: tuple[float, float]
    """In pixels of the image."""
    crop: tuple[float, float, float, float]
    """Left, top, width and height."""


def iou(a: Found, b: Found) -> float:
    union = int(np.bitwise_count(a.mask | b.mask).sum())
    return int(np.bitwise_count(a.mask & b.mask).sum()) / union if union else 1.0
