"""Everything in an image: all masks that a grid of points finds."""

from __future__ import annotations

import contextlib
import ctypes as ct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _raw
from ._call import Closable, Owner, call, callable_or_none, cancels, defaults, filled, sized
from ._errors import SamMmError
from .pixels import address, points
from .result import Forms

Box = tuple[float, float, float, float]


class FoundMask(Forms):
    """One mask of a set, with its figures.

    Attributes:
        id: Its number among all that were found, also in the steps told on the way.
        area: Pixels of the mask.
        box: x0, y0, x1, y1 around it, one past the last pixel.
        predicted_iou: IoU with the object that the model predicts.
        stability_score: How little the mask changes with the threshold of its logits.
        point: x and y of the point that it was found with.
        crop_box: The crop it was found in, as `box`; `crop_layer` 0 is the whole image.
    """

    _functions = "sam_mm_mask_set"

    def __init__(self, owner: Owner, index: int, size: tuple[int, int]) -> None:
        super().__init__(owner, index, size)
        info = sized(_raw.sam_mm_found_mask_info)
        call("sam_mm_mask_set_mask_info", owner.handle, index, ct.byref(info))
        self.id, self.area, self.crop_layer = int(info.id), int(info.area), int(info.crop_layer)
        self.predicted_iou, self.stability_score = float(info.predicted_iou), float(info.stability_score)
        self.box: Box = tuple(info.bounding_box)
        self.crop_box: Box = tuple(info.crop_box)
        self.point: tuple[float, float] = tuple(info.point)


class MaskSet(Closable):
    """Masks that were found in an image: a sequence of `FoundMask`. Made by `Model.segment_everything`."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        info = filled("sam_mm_mask_set_describe", owner.handle, _raw.sam_mm_mask_set_info)
        self.width, self.height = int(info.width), int(info.height)
        self.num_crops, self.num_points = int(info.num_crops), int(info.num_points)
        self.num_batches, self.num_candidates = int(info.num_batches), int(info.num_candidates)
        self.reduced_batch, self.peak_bytes = int(info.reduced_batch), int(info.peak_bytes)
        self._length = int(info.num_masks)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> FoundMask:
        if not -self._length <= index < self._length:
            raise IndexError(f"there are {self._length} masks, and {index} is none of them")
        return FoundMask(self._owner, index % self._length, (self.height, self.width))

    def __iter__(self) -> Iterator[FoundMask]:
        return (self[index] for index in range(self._length))

    def __enter__(self) -> MaskSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class EverythingStep:
    """Where a segmentation of everything stands. `masks` are those of the last batch of points, usable until the function that
    is told returns; one may still go because another is nearly the same and better."""

    fraction: float
    points_done: int
    points_total: int
    crop_index: int
    num_crops: int
    masks: MaskSet | None


#: Is told each step; True cancels.
StepCallback = Callable[[EverythingStep], object]


@dataclass(frozen=True)
class EverythingOptions:
    """How everything is looked for: parameters of the official generators by their names there. None is the default of the
    library, which is theirs; `point_grids` are points as fractions of the image, (n, 2), for the image and each layer of crops.
    """

    points_per_side: int | None = None
    points_per_batch: int | None = None
    pred_iou_thresh: float | None = None
    stability_score_thresh: float | None = None
    stability_score_offset: float | None = None
    mask_threshold: float | None = None
    box_nms_thresh: float | None = None
    crop_n_layers: int | None = None
    crop_nms_thresh: float | None = None
    crop_overlap_ratio: float | None = None
    crop_n_points_downscale_factor: int | None = None
    min_mask_region_area: int | None = None
    multimask: bool | None = None
    use_m2m: bool | None = None
    point_grids: Sequence[npt.ArrayLike] | None = None

    def prepared(self, on_step: StepCallback | None) -> Prepared:
        """The same for the library, with what it points to."""
        return Prepared(self, on_step)


class Prepared:
    """Options as the library takes them, the arrays they point to, and the callback."""

    def __init__(self, options: EverythingOptions, on_step: StepCallback | None) -> None:
        self.struct = defaults(_raw.sam_mm_everything_options, "sam_mm_everything_options_init")
        for name, value in vars(options).items():
            if value is not None and name != "point_grids":
                setattr(self.struct, name, value)
        if options.point_grids is not None:
            grids = [_grid(grid) for grid in options.point_grids]
            self._points = np.concatenate(grids) if grids else np.empty((0, 2))
            self._sizes = np.array([len(grid) for grid in grids], np.uint32)
            self.struct.point_grids, self.struct.point_grid_sizes = address(self._points), address(self._sizes)
            self.struct.num_point_grids = len(grids)
        #: What `on_step` raised, which ended the search.
        self.raised: list[BaseException] = []
        callable_or_none(on_step, "on_step")
        if on_step is not None:
            self.struct.on_step = self._function = _step_function(on_step, self.raised)


    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Raises what `on_step` raised in place of the library's error, which only says that it was cancelled."""
        try:
            yield
        except SamMmError as cancelled:
            if self.raised:
                raise self.raised[0] from cancelled
            raise


def _grid(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    if points(values, 2, "point_grids") is None:
        raise TypeError("a grid of points is None")
    return np.ascontiguousarray(values, np.float64).reshape(-1, 2)


def _step_function(callback: StepCallback, raised: list[BaseException]) -> Any:
    def received(_: int | None, told: Any) -> int:
        step = told.contents
        owner = Owner.borrowed(step.masks) if step.masks else None

        def tell() -> object:
            masks = MaskSet(owner) if owner is not None else None
            return callback(
                EverythingStep(
                    step.fraction, step.points_done, step.points_total, step.crop_index, step.num_crops, masks
                )
            )

        try:
            return cancels(tell, raised)
        finally:
            if owner is not None:
                owner.close()

    return _raw.sam_mm_everything_fn(received)
