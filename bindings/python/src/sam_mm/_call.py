"""Calling functions of the library, and owning what they hand out."""

from __future__ import annotations

import ctypes as ct
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from . import _raw
from ._errors import InvalidHandleError, exception_for
from ._library import library

Struct = TypeVar("Struct", bound=ct.Structure)

_callback_depth = threading.local()


def call(function: str, *arguments: Any) -> None:
    """Calls a function whose last argument is the error, and raises that.

    Raises:
        SamMmError: The function failed.
    """
    error = ct.c_void_p()
    status = getattr(library(), function)(*arguments, ct.byref(error))
    if status != _raw.SAM_MM_OK:
        raise _taken(status, error)


def _taken(status: int, error: ct.c_void_p) -> Exception:
    lib = library()
    try:
        message = lib.sam_mm_error_message(error).decode("utf-8", "replace")
        causes: list[str] = []
        while cause := lib.sam_mm_error_cause(error, len(causes)):
            causes.append(cause.decode("utf-8", "replace"))
    finally:
        lib.sam_mm_error_free(error)
    return exception_for(status, message, tuple(causes))


def defaults(kind: type[Struct], init: str) -> Struct:
    """A struct with its defaults, by its `…_init` function."""
    struct = kind()
    status = getattr(library(), init)(ct.byref(struct), ct.sizeof(struct))
    if status != _raw.SAM_MM_OK:
        raise exception_for(status, f"{init} refuses {ct.sizeof(struct)} bytes", ())
    return struct


def sized(kind: type[Struct]) -> Struct:
    """A struct for a function to fill."""
    struct = kind()
    struct.struct_size = ct.sizeof(struct)
    return struct


def filled(function: str, handle: Any, kind: type[Struct]) -> Struct:
    """What a function tells of an object."""
    struct = sized(kind)
    call(function, handle, ct.byref(struct))
    return struct


def text(value: bytes | None) -> str:
    """A text of the library; `""` for none."""
    return (value or b"").decode("utf-8", "replace")


def c_text(value: str | bytes | os.PathLike[str] | os.PathLike[bytes], name: str) -> bytes:
    """A text or a path for the library, where a NUL byte would end it early.

    Raises:
        ValueError: It has a NUL byte.
    """
    raw = os.fsencode(value)
    if b"\0" in raw:
        raise ValueError(f"{name} is {value!r}; a NUL byte cannot be in it")
    return raw


def of_kind(value: Any, kind: type[Any], name: str, hint: str = "") -> Any:
    """The value, which must be of that class.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a sam_mm.{kind.__name__}{hint}, not {type(value).__name__}")
    return value


def callable_or_none(callback: Any, name: str) -> Any:
    """The callback, which must be a function.

    Raises:
        TypeError: It cannot be called.
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"{name} must be a function or None, not {type(callback).__name__}")
    return callback


class Owner:
    """Owns a handle: frees it when closed, when nobody refers to it any more, and at the end of the interpreter.

    Freeing twice does nothing, on whatever thread. What must outlive the handle, such as a callback that the library calls,
    is kept until it was freed. The threads of the library are not in a forked process, so there a handle of the parent is
    neither used nor freed.
    """

    def __init__(self, handle: ct.c_void_p, free: str, *kept: Any) -> None:
        self._value = handle.value or 0
        self._process = os.getpid()
        self._finalizer = weakref.finalize(self, _free, free, self._value, self._process, kept)

    @property
    def handle(self) -> ct.c_void_p:
        if not self._finalizer.alive:
            raise InvalidHandleError("the object was closed")
        if self._process != os.getpid():
            raise InvalidHandleError(
                "the object was made before this process was forked; make contexts in the process that uses them, or start"
                " processes with multiprocessing's method `spawn`"
            )
        return ct.c_void_p(self._value)

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        self._finalizer()

    @classmethod
    def borrowed(cls, handle: int) -> Owner:
        """For a handle that somebody else frees: it is used until closed."""
        return cls(ct.c_void_p(handle), "")

    def detach(self) -> Owner:
        """Gives the handle up without freeing it."""
        self._finalizer.detach()
        return self


def _free(function: str, value: int, process: int, kept: tuple[Any, ...]) -> None:
    if not function or process != os.getpid():
        return
    free: Callable[[ct.c_void_p], None] = getattr(library(), function)
    if function == "sam_mm_destroy" and inside_callback():
        # Destroying waits until no callback of the context runs. The collector came upon it inside one, which would
        # wait for itself; another thread can wait.
        threading.Thread(target=_free, args=(function, value, process, kept), name="sam_mm destroy").start()
        return
    free(ct.c_void_p(value))


#: What owns nothing any more.
CLOSED = Owner(ct.c_void_p(0), "").detach()


def _callbacks_here() -> int:
    depth: int = vars(_callback_depth).get("value", 0)
    return depth


def inside_callback() -> bool:
    """Whether this thread is inside a callback of the library."""
    return _callbacks_here() > 0


class in_callback:  # noqa: N801 - reads as a statement
    """Marks that this thread is inside a callback of the library."""

    def __enter__(self) -> None:
        _callback_depth.value = _callbacks_here() + 1

    def __exit__(self, *_: object) -> None:
        _callback_depth.value -= 1


def cancels(callback: Callable[[], object], raised: list[BaseException] | None = None) -> int:
    """Calls a function inside a callback that can cancel: returning True does, and raising. What it raises is added to
    `raised`, for whoever waits for the call; without that it is reported as ctypes reports it for other callbacks."""
    with in_callback():
        try:
            return int(callback() is True)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not be lost in the library
            reported = error
        if raised is not None:
            raised.append(reported)
            return 1

        def leave() -> None:
            raise reported

        ct.CFUNCTYPE(None)(leave)()
        return 1


class Closable:
    """An object of the library: closed by `close`, by `with`, and by itself when nothing refers to it."""

    _owner: Owner

    @property
    def _handle(self) -> ct.c_void_p:
        return self._owner.handle

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._owner.closed

    def close(self) -> None:
        """Frees it now. Closing twice does nothing; what was made from it stays usable."""
        self._owner.close()
