"""The prompts that goldens are made with: every kind, in fractions of the image so that they fit any size."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Prompt:
    """One object's prompt. Coordinates are fractions of the image's width and height."""

    name: str
    points: tuple = ()  # (x, y, label)
    box: tuple | None = None
    mask: bool = False

    def points_in(self, width: int, height: int) -> np.ndarray:
        xy = np.array([p[:2] for p in self.points], np.float64).reshape(-1, 2)
        return (xy * (width, height)).astype(np.float32)

    def labels(self) -> np.ndarray:
        return np.array([p[2] for p in self.points], np.int32)

    def box_in(self, width: int, height: int) -> np.ndarray | None:
        if self.box is None:
            return None
        return (np.array(self.box, np.float64) * (width, height, width, height)).astype(np.float32)


RING = tuple((0.5 + 0.4 * np.cos(i * 0.7), 0.5 + 0.4 * np.sin(i * 0.7), int(i % 3 != 0)) for i in range(17))

PROMPTS = (
    Prompt("one_click", ((0.431, 0.367, 1),)),
    Prompt("clicks_of_both_labels", ((0.31, 0.62, 1), (0.77, 0.13, 0), (0.555, 0.505, 1))),
    Prompt("a_point_that_is_none", ((0.52, 0.48, 1), (0.9, 0.9, -1))),
    Prompt("box", box=(0.22, 0.31, 0.71, 0.87)),
    Prompt("click_and_box", ((0.45, 0.52, 1), (0.3, 0.4, 0)), (0.22, 0.31, 0.71, 0.87)),
    Prompt("click_and_mask", ((0.6, 0.55, 1),), mask=True),
    Prompt("box_and_mask", box=(0.4, 0.2, 0.9, 0.8), mask=True),
    Prompt("mask_alone", mask=True),
    Prompt("clicks_outside", ((-0.12, 1.2, 1), (1.01, 0.5, 0))),
    Prompt("many_clicks", RING),
)
