"""Layers of napari as the model sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def full_resolution(layer: Any) -> Any:
    """The data of an image layer; of a pyramid its first level."""
    return layer.data[0] if layer.multiscale else layer.data


def spatial_shape(layer: Any) -> tuple[int, ...]:
    """Its shape without the axis of colours."""
    shape = tuple(full_resolution(layer).shape)
    return shape[:-1] if layer.rgb else shape


def plane(layer: Any, step: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The plane that is shown at `step`, an index for each axis before the last two: uint8, as it looks with the layer's contrast
    limits."""
    shown = np.asarray(full_resolution(layer)[step])
    if layer.rgb:
        colours = shown if shown.dtype == np.uint8 else np.clip(shown * 255.0, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(colours[..., :3])
    low, high = (float(limit) for limit in layer.contrast_limits)
    if shown.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return np.ascontiguousarray(shown)
    scaled = (shown.astype(np.float32) - low) * (255.0 / max(high - low, np.finfo(np.float32).tiny))
    return np.nan_to_num(np.clip(scaled, 0, 255), nan=0.0).astype(np.uint8)


def to_pixels(rows_columns: npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Positions of napari, whose pixels have their centres at whole numbers, as x and y with corners at whole numbers; what lies
    outside goes to the edge."""
    rows, columns = np.asarray(rows_columns, float).reshape(-1, 2).T
    height, width = shape
    return np.stack([np.clip(columns + 0.5, 0, width), np.clip(rows + 0.5, 0, height)], axis=1)
