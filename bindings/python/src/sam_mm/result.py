"""What a prediction gave."""

from __future__ import annotations

import ctypes as ct
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _raw
from ._call import CLOSED, Closable, Owner, call, defaults, filled, sized
from .pixels import address, lent


class Rung(enum.IntEnum):
    """What helped when memory had run out."""

    NONE = _raw.SAM_MM_RUNG_NONE
    RELEASE_CACHES = _raw.SAM_MM_RUNG_RELEASE_CACHES
    EMPTY_ALLOCATOR = _raw.SAM_MM_RUNG_EMPTY_ALLOCATOR
    LOWER_PRECISION = _raw.SAM_MM_RUNG_LOWER_PRECISION
    CPU = _raw.SAM_MM_RUNG_CPU


class EmbeddingSource(enum.IntEnum):
    """Where the embedding was when a prediction needed it."""

    NONE = _raw.SAM_MM_EMBEDDING_NONE
    ENCODED = _raw.SAM_MM_EMBEDDING_ENCODED
    DEVICE = _raw.SAM_MM_EMBEDDING_DEVICE
    HOST = _raw.SAM_MM_EMBEDDING_HOST
    DISK = _raw.SAM_MM_EMBEDDING_DISK


@dataclass(frozen=True)
class Polygon:
    """A closed ring in pixels of the original image, float32 (n, 2); the last point joins the first.

    `parent` is None for an outer outline, else the index of the ring in which this one is a hole.
    """

    points: npt.NDArray[np.float32]
    parent: int | None


class Forms:
    """The forms of one mask, each made when asked for."""

    #: What the functions that make them begin with.
    _functions: str

    def __init__(self, owner: Owner, index: int, size: tuple[int, int]) -> None:
        self._owner = owner
        self.index = index
        self._size = size

    @property
    def array(self) -> npt.NDArray[np.bool_]:
        """The mask at the size of the image, bool (height, width), made anew."""
        return self.copy_to(np.empty(self._size, np.bool_))

    def copy_to(self, target: npt.NDArray[Any], on_value: int = 1) -> npt.NDArray[Any]:
        """Writes the mask into an array of bool or uint8, (height, width), whose rows may lie apart: `on_value` in the mask,
        0 outside."""
        rows_apart = target.ndim == 2 and target.strides[1] == 1 and target.strides[0] >= target.shape[1]
        if target.dtype.itemsize != 1 or target.shape != self._size or not rows_apart or not target.flags.writeable:
            raise ValueError(
                f"the array is {target.dtype} {target.shape}; it must be writable, bool or uint8, {self._size}, with the"
                " bytes of a row together"
            )
        height, width = self._size
        stride = target.strides[0] if height > 1 else width
        length = stride * (height - 1) + width
        call(f"{self._functions}_bitmask_copy", self._owner.handle, self.index, on_value, address(target), length, stride)
        return target

    def rle(self, compressed: bool = True) -> dict[str, Any]:
        """COCO's run-length encoding, `{"size": [height, width], "counts": …}`: bytes as `pycocotools.mask.encode` gives
        them, or the list of numbers."""
        made = self._rle()
        counts: bytes | list[int]
        if compressed:
            counts = ct.string_at(ct.cast(made.compressed, ct.c_void_p), made.compressed_len)
        else:
            counts = lent(self._owner, made.counts, (made.num_counts,), np.uint32).tolist()
        return {"size": [made.height, made.width], "counts": counts}

    def _rle(self) -> _raw.sam_mm_rle:
        made = sized(_raw.sam_mm_rle)
        call(f"{self._functions}_rle", self._owner.handle, self.index, ct.byref(made))
        return made

    def polygons(self, tolerance: float = 0.0, *, min_area: int = 0, connectivity: int = 4) -> list[Polygon]:
        """Outlines and holes; filling all by the even-odd rule gives the mask.

        Args:
            tolerance: Points may be left out that lie no farther than this from the outline, in pixels.
            min_area: Rings that enclose fewer pixels are left out with all that lies in them.
            connectivity: 4, or 8 when pixels that share a corner belong together.
        """
        if connectivity not in (4, 8):
            raise ValueError(f"connectivity is {connectivity}; it must be 4 or 8")
        options = defaults(_raw.sam_mm_polygon_options, "sam_mm_polygon_options_init")
        options.connectivity = _raw.SAM_MM_CONNECTIVITY_8 if connectivity == 8 else _raw.SAM_MM_CONNECTIVITY_4
        options.tolerance, options.min_area = tolerance, min_area
        made = sized(_raw.sam_mm_polygons)
        call(f"{self._functions}_polygons", self._owner.handle, self.index, ct.byref(options), ct.byref(made))
        count = int(made.num_rings)
        starts = lent(self._owner, made.ring_starts, (count + 1,), np.uint32).tolist()
        parents = lent(self._owner, made.parents, (count,), np.int32).tolist()
        every = lent(self._owner, made.points, (starts[-1], 2), np.float32)
        return [
            Polygon(every[starts[i] : starts[i + 1]], None if parents[i] < 0 else parents[i]) for i in range(count)
        ]


class Mask(Forms):
    """One mask of a result."""

    _functions = "sam_mm_result"

    def __init__(self, owner: Owner, index: int, size: tuple[int, int], mask_size: int) -> None:
        super().__init__(owner, index, size)
        self._mask_size = mask_size
        self._info: _raw.sam_mm_mask_info | None = None

    def _measure(self) -> _raw.sam_mm_mask_info:
        if self._info is None:
            info = sized(_raw.sam_mm_mask_info)
            call("sam_mm_result_mask_info", self._owner.handle, self.index, ct.byref(info))
            self._info = info
        return self._info

    @property
    def score(self) -> float:
        """IoU with the object that the model predicts for the mask."""
        return float(self._measure().score)

    @property
    def object_score(self) -> float | None:
        """How sure the model is that the prompts point at an object at all, as a logit, above 0 for yes; None for a model that
        does not tell (SAM, MobileSAM)."""
        measured = self._measure()
        return float(measured.object_score) if measured.has_object_score else None

    @property
    def object_index(self) -> int:
        """The object it is of, in the order of the request."""
        return int(self._measure().object_index)

    @property
    def area(self) -> int:
        """Pixels of the mask at the size of the image."""
        return int(self._measure().area)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 around the mask; x1 and y1 are one past the last pixel. Zeros for an empty mask."""
        x0, y0, x1, y1 = self._measure().bounding_box
        return x0, y0, x1, y1

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Low-resolution logits, float32 (mask_size, mask_size): a read-only view. Made to be a later `mask_input`."""
        place, length = ct.c_void_p(), ct.c_uint64()
        call("sam_mm_result_logits", self._owner.handle, self.index, ct.byref(place), ct.byref(length))
        return lent(self._owner, place.value, (self._mask_size, self._mask_size), np.float32)


class Result(Closable):
    """The masks of one prediction, object after object: a sequence of `Mask`. Made by `Model.predict`."""

    def __init__(self, handle: ct.c_void_p) -> None:
        self._owner = Owner(handle, "sam_mm_result_free")
        info = filled("sam_mm_result_describe", handle, _raw.sam_mm_result_info)
        self.num_objects, self.masks_per_object = int(info.num_objects), int(info.masks_per_object)
        self.width, self.height, self.mask_size = int(info.width), int(info.height), int(info.mask_size)
        self.encode_ms, self.decode_ms = float(info.encode_ms), float(info.decode_ms)
        self.embedding_reused = bool(info.embedding_reused)
        self.prediction_reused = bool(info.prediction_reused)
        self.embedding_source = EmbeddingSource(info.embedding_source)
        self.on_cpu, self.chunked_attention = bool(info.on_cpu), bool(info.chunked_attention)
        self._precision, self.recovered_by = int(info.precision), Rung(info.recovered_by)
        self._length = int(info.num_masks)

    @property
    def precision(self) -> str:
        """What the prompts were decoded in: `"fp32"`, `"fp16"` or `"bf16"`."""
        return ("fp32", "fp16", "bf16")[self._precision]

    def close(self) -> None:
        """Gives the handle back; views of logits and masks that were taken out keep what they need until they go."""
        self._owner = CLOSED

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Mask:
        if not -self._length <= index < self._length:
            raise IndexError(f"there are {self._length} masks, and {index} is none of them")
        self._handle  # noqa: B018 - raises when closed
        return Mask(self._owner, index % self._length, (self.height, self.width), self.mask_size)

    def __iter__(self) -> Iterator[Mask]:
        return (self[index] for index in range(self._length))

    def best(self, object_index: int = 0) -> Mask:
        """The mask of an object with the highest score."""
        index = ct.c_uint32()
        call("sam_mm_result_best_mask", self._handle, object_index, ct.byref(index))
        return self[index.value]

    @property
    def masks(self) -> npt.NDArray[np.bool_]:
        """All masks at the size of the image, bool (len, height, width), made anew."""
        made = np.empty((self._length, self.height, self.width), np.bool_)
        for mask, target in zip(self, made):
            mask.copy_to(target)
        return made

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """Predicted IoU of all masks, float32 (len,)."""
        return np.array([mask.score for mask in self], np.float32)

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Low-resolution logits of all masks, float32 (len, mask_size, mask_size), copied."""
        made = np.empty((self._length, self.mask_size, self.mask_size), np.float32)
        for mask, target in zip(self, made):
            target[:] = mask.logits
        return made

    def __enter__(self) -> Result:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sam_mm.Result {self.num_objects} objects, {self._length} masks of {self.width}x{self.height}>"
