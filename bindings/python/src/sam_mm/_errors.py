"""What can go wrong, as exceptions."""

from __future__ import annotations

import concurrent.futures

from . import _raw


class SamMmError(Exception):
    """A call failed.

    Attributes:
        code: `SAM_MM_ERR_…`.
        message: What was wrong, with the values, and what to do.
        causes: What caused it, what caused that, and so on.
    """

    code: int = _raw.SAM_MM_ERR_INTERNAL

    def __init__(self, message: str, causes: tuple[str, ...] = (), code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes
        if code is not None:
            self.code = code

    @property
    def status_name(self) -> str:
        """The name of the code, such as `SAM_MM_ERR_OUT_OF_MEMORY`."""
        return next((name for name, value in _STATUS_NAMES if value == self.code), f"status {self.code}")

    def __str__(self) -> str:
        return ": ".join((self.message, *self.causes))

    def __reduce__(self) -> tuple[type[SamMmError], tuple[str, tuple[str, ...], int]]:
        return type(self), (self.message, self.causes, self.code)


_STATUS_NAMES = [(name, value) for name, value in vars(_raw).items() if name.startswith("SAM_MM_ERR_")]


class InvalidArgumentError(SamMmError, ValueError):
    """An argument is wrong; the message holds its name and value."""

    code = _raw.SAM_MM_ERR_INVALID_ARGUMENT


class InvalidHandleError(SamMmError, ValueError):
    """An object was used after it had been closed."""

    code = _raw.SAM_MM_ERR_INVALID_HANDLE


class UnsupportedError(SamMmError, NotImplementedError):
    """Well formed, but this build, backend or model cannot do it."""

    code = _raw.SAM_MM_ERR_UNSUPPORTED


class OutOfMemoryError(SamMmError, MemoryError):
    """Memory ran out on the device or the host."""

    code = _raw.SAM_MM_ERR_OUT_OF_MEMORY


class BackendNotFoundError(SamMmError):
    """No backend plugin could be loaded; the message lists every path tried and why it failed."""

    code = _raw.SAM_MM_ERR_BACKEND_NOT_FOUND


class BackendError(SamMmError, RuntimeError):
    """The backend failed, or its answer is not finite."""

    code = _raw.SAM_MM_ERR_BACKEND


class ConflictError(SamMmError):
    """The process holds something that conflicts with what is needed, such as another version of libtorch."""

    code = _raw.SAM_MM_ERR_CONFLICT


class CheckpointError(SamMmError, ValueError):
    """A checkpoint is damaged, incomplete, or not a model that is known."""

    code = _raw.SAM_MM_ERR_CHECKPOINT


class FileError(SamMmError, OSError):
    """A file could not be opened or read."""

    code = _raw.SAM_MM_ERR_IO


class DeviceUnavailableError(SamMmError):
    """The device asked for does not exist here, or cannot be used."""

    code = _raw.SAM_MM_ERR_DEVICE_UNAVAILABLE


class DeviceLostError(SamMmError, RuntimeError):
    """The device failed while in use; the process must be restarted to use it again."""

    code = _raw.SAM_MM_ERR_DEVICE_LOST


class CancelledError(SamMmError, concurrent.futures.CancelledError):
    """The operation was cancelled before it had a result."""

    code = _raw.SAM_MM_ERR_CANCELLED


class PoisonedError(SamMmError, RuntimeError):
    """An earlier internal failure left the context unusable; close it and make another."""

    code = _raw.SAM_MM_ERR_POISONED


class InternalError(SamMmError, RuntimeError):
    """A defect of the library or the plugin, caught at the border."""

    code = _raw.SAM_MM_ERR_INTERNAL


_BY_CODE = {kind.code: kind for kind in SamMmError.__subclasses__()}


def exception_for(code: int, message: str, causes: tuple[str, ...]) -> SamMmError:
    """The exception of a status; one that this package does not know yet is a plain `SamMmError`."""
    return _BY_CODE.get(code, SamMmError)(message, causes, code)
