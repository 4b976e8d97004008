"""A drawn scene with known truth, such as the demo model knows."""

from __future__ import annotations

import numpy as np

WIDTH, HEIGHT = 400, 300

#: Middle and box of the disc, in pixels.
DISC, DISC_BOX = (120, 150), (60, 90, 180, 210)
#: Middle and box of the bar.
BAR, BAR_BOX = (300, 110), (260, 60, 340, 160)


def disc() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x + 0.5 - DISC[0]) ** 2 + (y + 0.5 - DISC[1]) ** 2 < 60**2


def bar() -> np.ndarray:
    truth = np.zeros((HEIGHT, WIDTH), bool)
    truth[60:160, 260:340] = True
    return truth


def scene() -> np.ndarray:
    """uint8 (300, 400, 3): a red disc and a blue bar on green that gets brighter."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([40 + x // 10, 120 + y // 8, 60 + x // 20], -1).astype(np.uint8)
    pixels[disc()] = (210, 60, 50)
    pixels[bar()] = (50, 70, 220)
    return pixels


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))
