"""Arrays in, arrays out."""

from __future__ import annotations

import ctypes as ct
import enum
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _raw
from ._call import Owner


class Format(enum.IntEnum):
    """Order of the bytes of a pixel."""

    RGB = _raw.SAM_MM_FORMAT_RGB8
    BGR = _raw.SAM_MM_FORMAT_BGR8
    RGBA = _raw.SAM_MM_FORMAT_RGBA8
    BGRA = _raw.SAM_MM_FORMAT_BGRA8
    GRAY = _raw.SAM_MM_FORMAT_GRAY8

    @property
    def channels(self) -> int:
        """Bytes of a pixel."""
        return {Format.GRAY: 1, Format.RGBA: 4, Format.BGRA: 4}.get(self, 3)


class Interpolation(enum.IntEnum):
    """How pixels between pixels are made."""

    NEAREST = _raw.SAM_MM_INTERPOLATION_NEAREST
    BILINEAR = _raw.SAM_MM_INTERPOLATION_BILINEAR
    AREA = _raw.SAM_MM_INTERPOLATION_AREA
    CUBIC = _raw.SAM_MM_INTERPOLATION_CUBIC


def format_of(name: str | Format | None, channels: int, default_order: str = "rgb") -> Format:
    """The format of an array with this many channels; None is by their number."""
    if isinstance(name, Format):
        return name
    if name is None:
        try:
            name = {1: "gray", 3: default_order, 4: default_order + "a"}[channels]
        except KeyError:
            raise ValueError(f"pixels have 1, 3 or 4 channels, not {channels}") from None
    try:
        return Format[name.upper()]
    except KeyError:
        names = ", ".join(known.name.lower() for known in Format)
        raise ValueError(f"format is {name!r}; it must be one of {names}") from None


def readable(pixels: npt.ArrayLike, format: str | Format | None) -> tuple[npt.NDArray[np.uint8], Format]:
    """Pixels as rows that the library can read, (height, width, channels), and their format.

    Nothing is copied where the bytes of a pixel lie together and rows run forwards, whatever lies between the rows.
    """
    array = np.asarray(pixels)
    if array.dtype != np.uint8:
        raise TypeError(
            f"pixels are {array.dtype}; they must be uint8, 0 to 255. Scale them first, so that it is you who says which"
            " values are black and white"
        )
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3:
        raise ValueError(f"pixels have the shape {np.shape(pixels)}; it must be (height, width) or (height, width, channels)")
    height, width, channels = array.shape
    order = format_of(format, channels)
    if order.channels != channels:
        raise ValueError(f"pixels have {channels} channels, and {order.name} has {order.channels}")
    if array.size == 0:
        raise ValueError(f"pixels have the shape {np.shape(pixels)}: there are none")
    row, column, byte = array.strides
    together = (channels == 1 or byte == 1) and (width == 1 or column == channels) and (height == 1 or row >= width * channels)
    if not together:
        array = np.ascontiguousarray(array)
    return array, order


def row_stride(array: npt.NDArray[np.uint8]) -> int:
    """Bytes from one row to the next."""
    height, width, channels = array.shape
    stride: int = array.strides[0] if height > 1 else width * channels
    return stride


def span(array: npt.NDArray[np.uint8]) -> int:
    """Bytes from the first pixel to the end of the last."""
    height, width, channels = array.shape
    length: int = row_stride(array) * (height - 1) + width * channels
    return length


class _Lent:
    """Memory of the library as numpy takes it, with what must live as long."""

    def __init__(self, owner: Owner, address: int, shape: tuple[int, ...], kind: str) -> None:
        self.owner = owner
        self.__array_interface__ = {"data": (address, True), "shape": shape, "typestr": kind, "version": 3}


def lent(owner: Owner, address: int | None, shape: tuple[int, ...], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """A read-only view of memory that is valid until `owner` is freed, which it keeps from happening."""
    if address is None or 0 in shape:
        return np.zeros(shape, kind)
    return np.asarray(_Lent(owner, address, shape, np.dtype(kind).str))


def address(array: npt.NDArray[Any] | None) -> int | None:
    """Where an array begins."""
    return None if array is None else int(array.ctypes.data)


def points(values: npt.ArrayLike | None, columns: int, name: str) -> npt.NDArray[np.float32] | None:
    """Rows of coordinates as float32, (n, columns); one row may come without its brackets."""
    if values is None:
        return None
    array = np.ascontiguousarray(values, np.float32)
    if array.ndim == 1 and array.size == columns:
        array = array[np.newaxis]
    if array.size == 0:
        array = array.reshape(0, columns)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} have the shape {np.shape(values)}; it must be (n, {columns})")
    return array


def c_bytes(value: bytes | str | None) -> tuple[Any, int]:
    """Bytes for a pointer and their number."""
    if value is None:
        return None, 0
    raw = value.encode() if isinstance(value, str) else bytes(value)
    return ct.cast(ct.c_char_p(raw), ct.c_void_p), len(raw)
