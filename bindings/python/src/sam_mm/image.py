"""Images, and images for the screen."""

from __future__ import annotations

import ctypes as ct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _raw
from ._call import CLOSED, Closable, Owner, call, defaults, filled
from .job import Job, submit, taken
from .pixels import Format, Interpolation, address, c_bytes, format_of, lent, points, readable, row_stride, span

if TYPE_CHECKING:
    from .context import Context
    from .model import Model


class Image(Closable):
    """An image, held as a copy of its pixels. Made by `Context.image`."""

    def __init__(
        self, context: Context, pixels: npt.ArrayLike, format: str | Format | None, content_id: bytes | str | None
    ) -> None:
        array, order = readable(pixels, format)
        self.context = context
        self.height, self.width = int(array.shape[0]), int(array.shape[1])
        desc = defaults(_raw.sam_mm_image_desc, "sam_mm_image_desc_init")
        desc.format, desc.width, desc.height = order, self.width, self.height
        desc.row_stride, desc.data, desc.data_len = row_stride(array), address(array), span(array)
        desc.content_id, desc.content_id_len = c_bytes(content_id)
        handle = ct.c_void_p()
        call("sam_mm_image_create", context._handle, ct.byref(desc), ct.byref(handle))
        self._owner = Owner(handle, "sam_mm_image_free")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def encode(self, model: Model) -> None:
        """Runs the image encoder now, so that the first prediction does not have to."""
        call("sam_mm_image_encode", self._handle, model._handle)

    def process(
        self,
        target_size: int = 1024,
        *,
        min_size: int = 600,
        max_size: int = 2048,
        shrinking: Interpolation = Interpolation.AREA,
        enlarging: Interpolation = Interpolation.BILINEAR,
        format: str | Format = "rgb",
    ) -> Display:
        """Brings the image to display size: the longer side to `target_size`, within the other two (docs/caching.md)."""
        options = _display_options(target_size, min_size, max_size, shrinking, enlarging, format)
        handle = ct.c_void_p()
        call("sam_mm_image_process", self._handle, ct.byref(options), ct.byref(handle))
        return Display(handle)

    def submit_process(
        self,
        target_size: int = 1024,
        *,
        min_size: int = 600,
        max_size: int = 2048,
        shrinking: Interpolation = Interpolation.AREA,
        enlarging: Interpolation = Interpolation.BILINEAR,
        format: str | Format = "rgb",
    ) -> Job[Display]:
        """`process` on a thread of the context."""
        options = _display_options(target_size, min_size, max_size, shrinking, enlarging, format)
        take = taken("sam_mm_job_take_display", Display)
        return submit("sam_mm_job_submit_process", (self._handle, ct.byref(options)), take, self)

    def __enter__(self) -> Image:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sam_mm.Image {self.width}x{self.height}{' closed' if self.closed else ''}>"


def _display_options(
    target_size: int, min_size: int, max_size: int, shrinking: Interpolation, enlarging: Interpolation, format: str | Format
) -> _raw.sam_mm_display_options:
    options = defaults(_raw.sam_mm_display_options, "sam_mm_display_options_init")
    options.target_size, options.min_size, options.max_size = target_size, min_size, max_size
    options.shrinking, options.enlarging, options.format = shrinking, enlarging, format_of(format, 3)
    return options


class Display(Closable):
    """An image as it is shown, and the way from its pixels to the original ones and back. Made by `Image.process`."""

    def __init__(self, handle: ct.c_void_p) -> None:
        self._owner = Owner(handle, "sam_mm_display_free")
        info = filled("sam_mm_display_describe", handle, _raw.sam_mm_display_info)
        self.format = Format(info.format)
        self.width, self.height = int(info.width), int(info.height)
        self.original_width, self.original_height = int(info.original_width), int(info.original_height)
        self.scale_x, self.scale_y = float(info.scale_x), float(info.scale_y)
        self._data: int = info.data

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The pixels, uint8 (height, width, channels), or (height, width) in gray. A read-only view of the cache's own
        memory, which stays valid as long as the view lives."""
        self._handle  # noqa: B018 - raises when closed
        channels = self.format.channels
        shape = (self.height, self.width) if channels == 1 else (self.height, self.width, channels)
        return lent(self._owner, self._data, shape, np.uint8)

    def close(self) -> None:
        """Gives the handle back; views of the pixels keep the memory until they go."""
        self._owner = CLOSED

    def points_to_original(self, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Points of the display image, (n, 2), in pixels of the original one; outside goes to the edge."""
        return self._converted("sam_mm_display_points_to_original", values, 2, "points")

    def points_to_display(self, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Points of the original image, (n, 2), in pixels of the display image."""
        return self._converted("sam_mm_display_points_to_display", values, 2, "points")

    def boxes_to_original(self, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Boxes x0, y0, x1, y1 of the display image, (n, 4), in pixels of the original one."""
        return self._converted("sam_mm_display_boxes_to_original", values, 4, "boxes")

    def boxes_to_display(self, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Boxes x0, y0, x1, y1 of the original image, (n, 4), in pixels of the display image."""
        return self._converted("sam_mm_display_boxes_to_display", values, 4, "boxes")

    def mask_to_original(self, mask: npt.ArrayLike) -> npt.NDArray[Any]:
        """A mask of the display image's size at the size of the original one; bool or uint8 as given."""
        return self._mask("sam_mm_display_mask_to_original", mask, (self.original_height, self.original_width))

    def mask_to_display(self, mask: npt.ArrayLike) -> npt.NDArray[Any]:
        """A mask of the original image's size at the size of the display image; bool or uint8 as given."""
        return self._mask("sam_mm_display_mask_to_display", mask, (self.height, self.width))

    def _converted(self, function: str, values: npt.ArrayLike, columns: int, name: str) -> npt.NDArray[np.float32]:
        given = points(values, columns, name)
        if given is None:
            raise TypeError(f"{name} are None")
        made = np.empty_like(given)
        call(function, self._handle, address(given), len(given), address(made))
        return made

    def _mask(self, function: str, mask: npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[Any]:
        given = np.ascontiguousarray(mask)
        if given.dtype not in (np.bool_, np.uint8) or given.ndim != 2:
            raise TypeError(f"the mask is {given.dtype} {given.shape}; it must be bool or uint8 of (height, width)")
        made = np.empty(shape, given.dtype)
        stride = given.shape[1]
        call(function, self._handle, address(given), given.nbytes, stride, address(made), made.nbytes, 0)
        return made

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
