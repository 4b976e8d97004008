"""`SAM2ImagePredictor` as official code knows it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import UnsupportedError
from ..image import Image
from ..model import Prompt
from ._sam import Sam
from ._transform import resized

Masks = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]

#: Low-resolution logits are held within this there.
LOGITS_LIMIT = 32.0


def build_sam2(
    config_file: str | None = None, ckpt_path: str | os.PathLike[str] | None = None, device: Any = "cuda", **_: Any
) -> Sam:
    """A model from a checkpoint of SAM 2 or 2.1. What it is follows from the file, so `config_file` is not read."""
    return Sam(ckpt_path, device)


class SAM2ImagePredictor:
    """Set an image, then ask for masks. `sam_model` is a model of `build_sam2`, or a `sam_mm.Model`."""

    def __init__(
        self, sam_model: Any, mask_threshold: float = 0.0, max_hole_area: float = 0.0, max_sprinkle_area: float = 0.0, **_: Any
    ) -> None:
        if mask_threshold or max_hole_area or max_sprinkle_area:
            raise UnsupportedError("mask_threshold, max_hole_area and max_sprinkle_area are 0 here")
        self.model = Sam.of(sam_model)
        self.mask_threshold = mask_threshold
        self.reset_predictor()

    @property
    def device(self) -> str:
        """Where the model is."""
        return self.model.device

    def reset_predictor(self) -> None:
        """Forgets the images. What was computed for them stays in the caches."""
        self._images: list[Image] = []
        self._orig_hw: list[tuple[int, int]] = []
        self._is_image_set = self._is_batch = False

    def set_image(self, image: Any) -> None:
        """Encodes an image, uint8 (height, width, 3) in RGB or of PIL, unless it was before."""
        self.set_image_batch([image])
        self._is_batch = False

    def set_image_batch(self, image_list: Sequence[Any]) -> None:
        """Encodes several, for `predict_batch`."""
        self.reset_predictor()
        model = self.model.model
        for image in image_list:
            made = model.context.image(np.asarray(image))
            made.encode(model)
            self._images.append(made)
            self._orig_hw.append(made.size)
        self._is_image_set = self._is_batch = True

    def predict(
        self,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> Masks:
        """Masks of one object, or of many when `box` is (B, 4) or `point_coords` (B, n, 2).

        Returns:
            Masks, float32 of 0 and 1 (C, height, width), or logits; scores (C,); logits (C, mask_size, mask_size). With many
            objects each has an axis for them before, as there.
        """
        if not self._is_image_set:
            raise RuntimeError("An image must be set with .set_image(...) before mask prediction.")
        return self._predict(
            0, point_coords, point_labels, box, mask_input, multimask_output, return_logits, normalize_coords
        )

    def predict_batch(
        self,
        point_coords_batch: Sequence[Any] | None = None,
        point_labels_batch: Sequence[Any] | None = None,
        box_batch: Sequence[Any] | None = None,
        mask_input_batch: Sequence[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """`predict` on each image of `set_image_batch`."""
        if not self._is_batch:
            raise RuntimeError("An image batch must be set with .set_image_batch(...) before mask prediction.")

        def at(batch: Sequence[Any] | None, index: int) -> Any:
            return None if batch is None else batch[index]

        made = [
            self._predict(
                i, at(point_coords_batch, i), at(point_labels_batch, i), at(box_batch, i), at(mask_input_batch, i),
                multimask_output, return_logits, normalize_coords,
            )
            for i in range(len(self._images))
        ]
        masks, scores, logits = ([parts[i] for parts in made] for i in range(3))
        return masks, scores, logits

    def get_image_embedding(self) -> Any:
        """Not there: the embedding stays with the backend."""
        raise UnsupportedError("the embedding stays with the backend, which keeps it on its device; it cannot be had as an array")

    def _predict(
        self, index: int, points: Any, labels: Any, box: Any, mask_input: Any, multimask: bool, logits: bool, pixels: bool
    ) -> Masks:
        if points is not None:
            assert labels is not None, "point_labels must be supplied if point_coords is supplied."
        image = self._images[index]
        scale = np.ones(2) if pixels else np.array([image.width, image.height], float)
        coords = None if points is None else np.asarray(points, float) * scale
        corners = None if box is None else (np.asarray(box, float).reshape(-1, 2, 2) * scale).reshape(-1, 4)
        many = max(0 if coords is None or coords.ndim < 3 else len(coords), 0 if corners is None else len(corners), 1)
        label_rows = None if labels is None else np.asarray(labels)
        earlier = None if mask_input is None else np.asarray(mask_input).reshape(-1, *np.shape(mask_input)[-2:])
        prompts = [
            Prompt(_of(coords, i, 2), _of(label_rows, i, 1), _of(corners, i, 1), _of(earlier, i, 2)) for i in range(many)
        ]
        result = self.model.model.predict_many(image, prompts, multimask=multimask)
        low = np.clip(result.logits, -LOGITS_LIMIT, LOGITS_LIMIT)
        full = resized(result.logits, image.size) if logits else result.masks.astype(np.float32)
        if many == 1:
            return full, result.scores, low
        shape = (many, result.masks_per_object)
        return full.reshape(*shape, *full.shape[1:]), result.scores.reshape(shape), low.reshape(*shape, *low.shape[1:])


def _of(values: npt.NDArray[Any] | None, index: int, ndim: int) -> Any:
    """What belongs to an object: `values` has an axis of objects when it has more than `ndim` axes, or is boxes."""
    if values is None:
        return None
    if values.ndim > ndim:
        return values[min(index, len(values) - 1)]
    return values
