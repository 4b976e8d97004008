"""`SamPredictor` as official code knows it."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import UnsupportedError
from ..image import Image
from ..model import Prompt
from ..result import Result
from ._sam import Sam
from ._transform import ResizeLongestSide, full_size_logits

Masks = tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]


class SamPredictor:
    """Set an image, then ask for masks. `sam_model` is a model of `sam_model_registry`, or a `sam_mm.Model`."""

    def __init__(self, sam_model: Any) -> None:
        self.model = Sam.of(sam_model)
        self.reset_image()

    @property
    def transform(self) -> ResizeLongestSide:
        """Coordinates to those of the model's input."""
        return ResizeLongestSide(self.model.model.input_size)

    @property
    def device(self) -> str:
        """Where the model is."""
        return self.model.device

    def reset_image(self) -> None:
        """Forgets the image. What was computed for it stays in the caches."""
        self._image: Image | None = None
        self.is_image_set = False
        self.original_size: tuple[int, int] | None = None
        self.input_size: tuple[int, int] | None = None

    def set_image(self, image: npt.ArrayLike, image_format: str = "RGB") -> None:
        """Encodes an image, uint8 (height, width, 3), unless it was before."""
        assert image_format in ("RGB", "BGR"), f"image_format must be in ['RGB', 'BGR'], is {image_format}."
        self.reset_image()
        model = self.model.model
        made = model.context.image(image, image_format.lower())
        made.encode(model)
        self._image, self.is_image_set = made, True
        self.original_size = made.size
        self.input_size = self.transform.get_preprocess_shape(*made.size, model.input_size)

    def set_torch_image(self, transformed_image: Any, original_image_size: tuple[int, ...]) -> None:
        """Not there: the library resizes images itself."""
        raise UnsupportedError("set_torch_image takes an image that was resized already; give the original one to set_image")

    def predict(
        self,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> Masks:
        """Masks of one object.

        Args:
            point_coords: (n, 2), pixels of the image.
            point_labels: (n,), 1 foreground, 0 background.
            box: (4,) as x0, y0, x1, y1.
            mask_input: (1, mask_size, mask_size), logits of an earlier prediction.
            multimask_output: Three masks instead of one.
            return_logits: Logits at the size of the image instead of masks.

        Returns:
            Masks, bool (C, height, width) or float32 logits; scores, float32 (C,); logits, float32 (C, mask_size, mask_size).
        """
        if point_coords is not None:
            assert point_labels is not None, "point_labels must be supplied if point_coords is supplied."
        prompt = Prompt(*_without_padding(point_coords, point_labels), box, mask_input)
        result = self._predict([prompt], multimask_output)
        masks = self._full_size_logits(result) if return_logits else result.masks
        return masks, result.scores, result.logits

    def predict_torch(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        boxes: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Any, Any, Any]:
        """Masks of many objects, from coordinates that went through `transform`. Tensors in, tensors out; arrays in, arrays out.

        Args:
            point_coords: (B, n, 2).
            point_labels: (B, n); -1 pads.
            boxes: (B, 4).
            mask_input: (B, 1, mask_size, mask_size).

        Returns:
            Masks (B, C, height, width), scores (B, C), logits (B, C, mask_size, mask_size).
        """
        given = [value for value in (point_coords, point_labels, boxes, mask_input) if value is not None]
        points, labels, corners, logits = (_array(value) for value in (point_coords, point_labels, boxes, mask_input))
        size = self._required().size
        back = 1 / self.transform._factors(size)
        # Rounding may leave what went through `transform` a hair outside.
        edge = np.array([size[1], size[0]], float)
        if points is not None:
            points = np.clip(points * back, 0, edge)
        if corners is not None:
            corners = np.clip(corners.reshape(-1, 2, 2) * back, 0, edge).reshape(-1, 4)
        count = max((len(array) for array in (points, corners, logits) if array is not None), default=0)
        prompts = [
            Prompt(
                *_without_padding(_row(points, i), _row(labels, i)), _row(corners, i), _row(logits, i),
            )
            for i in range(count)
        ]
        result = self._predict(prompts, multimask_output)
        masks = self._full_size_logits(result) if return_logits else result.masks
        by_object = (result.num_objects, result.masks_per_object)
        made = tuple(part.reshape(*by_object, *part.shape[1:]) for part in (masks, result.scores, result.logits))
        if any(hasattr(value, "new_tensor") for value in given):
            tensor = next(value for value in given if hasattr(value, "new_tensor"))
            made = tuple(_tensor_like(tensor, part) for part in made)
        return made[0], made[1], made[2]

    def get_image_embedding(self) -> Any:
        """Not there: the embedding stays with the backend."""
        raise UnsupportedError("the embedding stays with the backend, which keeps it on its device; it cannot be had as an array")

    @property
    def features(self) -> Any:
        """None without an image; with one, as `get_image_embedding`."""
        return None if self._image is None else self.get_image_embedding()

    def _required(self) -> Image:
        if self._image is None:
            raise RuntimeError("An image must be set with .set_image(...) before mask prediction.")
        return self._image

    def _predict(self, prompts: list[Prompt], multimask: bool) -> Result:
        return self.model.model.predict_many(self._required(), prompts, multimask=multimask)

    def _full_size_logits(self, result: Result) -> npt.NDArray[np.float32]:
        return full_size_logits(result.logits, self.model.model.input_size, self._required().size)


def _without_padding(points: Any, labels: Any) -> tuple[Any, Any]:
    """Points whose label is not -1, which stands for no point."""
    if points is None or labels is None:
        return points, labels
    points, labels = np.asarray(points), np.asarray(labels)
    kept = labels != -1
    return points[kept], labels[kept]


def _array(value: Any) -> npt.NDArray[Any] | None:
    if value is None:
        return None
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def _row(values: npt.NDArray[Any] | None, index: int) -> Any:
    return None if values is None else values[index]


def _tensor_like(tensor: Any, values: npt.NDArray[Any]) -> Any:
    torch = importlib.import_module("torch")  # whoever gives tensors has it
    return torch.from_numpy(values).to(tensor.device)
