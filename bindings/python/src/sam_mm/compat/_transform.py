"""`segment_anything.utils.transforms.ResizeLongestSide`, and the way back from logits to the size of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class ResizeLongestSide:
    """Coordinates of the original image to those of the model's input, whose longer side is `target_length`."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_coords(self, coords: npt.ArrayLike, original_size: tuple[int, ...]) -> npt.NDArray[Any]:
        """Points, (…, 2) as x and y; `original_size` is (height, width)."""
        scaled: npt.NDArray[Any] = np.array(coords, dtype=float) * self._factors(original_size)
        return scaled

    def apply_boxes(self, boxes: npt.ArrayLike, original_size: tuple[int, ...]) -> npt.NDArray[Any]:
        """Boxes, (n, 4) as x0, y0, x1, y1."""
        corners = self.apply_coords(np.reshape(boxes, (-1, 2, 2)), original_size)
        return corners.reshape(-1, 4)

    def apply_coords_torch(self, coords: Any, original_size: tuple[int, ...]) -> Any:
        """`apply_coords` for a tensor, which it is given as and returned as."""
        coords = coords.float()  # boxes are often given as whole numbers
        return coords * coords.new_tensor(self._factors(original_size).tolist())

    def apply_boxes_torch(self, boxes: Any, original_size: tuple[int, ...]) -> Any:
        """`apply_boxes` for a tensor."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Height and width of the resized image."""
        scale = long_side_length * 1.0 / max(oldh, oldw)
        return int(oldh * scale + 0.5), int(oldw * scale + 0.5)

    def _factors(self, original_size: tuple[int, ...]) -> npt.NDArray[np.float64]:
        height, width = original_size
        new_height, new_width = self.get_preprocess_shape(height, width, self.target_length)
        return np.array([new_width / width, new_height / height])


def full_size_logits(
    logits: npt.NDArray[np.float32], input_length: int, original_size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Low-resolution logits, (n, h, w), at the size of the image, as `Sam.postprocess_masks` makes them: brought to the square
    input, without its padding, brought to the original size; both bilinearly, pixel centres at .5."""
    height, width = ResizeLongestSide.get_preprocess_shape(*original_size, input_length)
    square = resized(logits, (input_length, input_length))
    return resized(square[:, :height, :width], original_size)


def resized(values: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Planes, (n, h, w), at another size, bilinearly, pixel centres at .5."""
    rows, columns = (_neighbours(old, new) for old, new in zip(values.shape[1:], size))
    (top, bottom, down), (left, right, along) = rows, columns
    wide = values[:, :, left] * (1 - along) + values[:, :, right] * along
    tall = wide[:, top] * (1 - down)[:, np.newaxis] + wide[:, bottom] * down[:, np.newaxis]
    return tall.astype(np.float32, copy=False)


def _neighbours(old: int, new: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Of each new pixel the two old ones about its centre, and the share of the second."""
    centres = np.maximum((np.arange(new, dtype=np.float32) + 0.5) * np.float32(old / new) - 0.5, 0)
    first = centres.astype(np.intp)
    return first, np.minimum(first + 1, old - 1), (centres - first).astype(np.float32)
