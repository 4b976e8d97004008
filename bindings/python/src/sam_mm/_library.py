"""Finds and loads the shared library, and tells it where libtorch is.

By ctypes and not cffi: it comes with Python, so one wheel serves every Python 3 of a platform and nothing is compiled where
it is installed. Calls release the interpreter's lock, so other threads run while one predicts.
"""

from __future__ import annotations

import ctypes as ct
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import Any

from . import _raw

#: Names a file of the library, and goes before every other place.
LIBRARY_VARIABLE = "SAM_MM_LIBRARY"
#: Names the folder of libtorch.
LIBTORCH_VARIABLE = "SAM_MM_LIBTORCH"
#: Where the wheel keeps the library and the plugin.
BUNDLED = Path(__file__).resolve().parent / "lib"

_lock = threading.Lock()
_loaded: Any = None


class LibraryNotFound(ImportError):
    """The shared library of sam-mm cannot be loaded; the message lists what was tried."""


def file_name() -> str:
    """The file of the shared library on this system."""
    return {"win32": "sam_mm.dll", "darwin": "libsam_mm.dylib"}.get(sys.platform, "libsam_mm.so")


def library() -> Any:
    """The loaded library; its functions have their types. Loads it when that has not happened yet.

    Raises:
        LibraryNotFound: There is none, or it is of another version of the API.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = _with_types(_open())
        return _loaded


def _candidates() -> list[str]:
    """Files to try, the best first. One that the user named is the only one."""
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        return [named]
    soname = {"win32": "sam_mm.dll", "darwin": f"libsam_mm.{_raw.SAM_MM_ABI_VERSION}.dylib"}
    return [str(BUNDLED / file_name()), soname.get(sys.platform, f"libsam_mm.so.{_raw.SAM_MM_ABI_VERSION}")]


def _open() -> Any:
    tried = []
    for path in _candidates():
        try:
            return ct.CDLL(path)
        except OSError as error:
            tried.append(f"{path}: {error}")
    raise LibraryNotFound(
        "the shared library of sam-mm cannot be loaded. Tried " + "; ".join(tried) + ". A package built with the library in"
        f" it needs nothing else; {LIBRARY_VARIABLE} names a file of your own"
    )


def _with_types(loaded: Any) -> Any:
    try:
        found = int(loaded.sam_mm_abi_version())
        if found != _raw.SAM_MM_ABI_VERSION:
            raise LibraryNotFound(
                f"{loaded._name} has version {found} of the C ABI, and this package is made for"
                f" {_raw.SAM_MM_ABI_VERSION}: install the package that belongs to the library"
            )
        for name, (returned, taken) in _raw.FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = returned, taken
    except AttributeError as error:
        raise LibraryNotFound(
            f"{loaded._name} is older than this package: {error}. Install versions that belong together"
        ) from None
    return loaded


def version() -> str:
    """The version of the loaded library."""
    return str(library().sam_mm_version().decode())


def point_at_torch() -> None:
    """Names the libtorch of the package `torch`, where there is one and the user named none.

    Nothing is imported: `torch` may come later, before or never. A process can hold one libtorch only, so it has to be that
    one whenever `torch` can be imported; when its version does not fit, the library says so.
    """
    if LIBTORCH_VARIABLE in os.environ:
        return
    try:
        found = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return
    folders = list(found.submodule_search_locations or []) if found is not None else []
    for folder in map(Path, folders):
        if any((folder / "lib").glob("*torch_cpu.*")):
            os.environ[LIBTORCH_VARIABLE] = str(folder)
            return
