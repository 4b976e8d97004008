"""Contexts: one memory manager with its caches and models."""

from __future__ import annotations

import ctypes as ct
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from . import _raw
from ._call import (
    Closable, Owner, c_text, call, callable_or_none, cancels, defaults, filled, in_callback, sized, text,
)
from ._library import point_at_torch
from .image import Image
from .job import Job, Progress, submit, taken
from .memory import (
    Cache, CacheInfo, MemoryCounters, MemoryEvent, MemoryInfo, MemoryOptions, MemoryStatus, OptimizeReport, PrefetchInfo,
    Tier,
)
from .model import Model, Precision, Source, model_options
from .pixels import Format

#: Receives a level, `"error"` to `"debug"`, and a line of the log.
LogCallback = Callable[[str, str], object]
#: Receives what happens to memory.
EventCallback = Callable[[MemoryEvent], object]
#: Receives how far something is; True cancels it.
ProgressCallback = Callable[[Progress], object]

_LEVELS = {
    "error": _raw.SAM_MM_LOG_ERROR, "warn": _raw.SAM_MM_LOG_WARN,
    "info": _raw.SAM_MM_LOG_INFO, "debug": _raw.SAM_MM_LOG_DEBUG,
}
_LEVEL_NAMES = {number: name for name, number in _LEVELS.items()}


@dataclass(frozen=True)
class BackendInfo:
    """The backend that a context runs on; `trail` has every file that was tried, a line each."""

    name: str
    version: str
    path: str
    device: str
    trail: str


class Context(Closable):
    """One memory manager with its caches and models. May be used from many threads at once.

    Args:
        device: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.
        backend_path: File or folder of the backend plugin; None searches for one (docs/backends.md).
        num_threads: Threads on the CPU; 0 leaves the choice to the backend.
        allow_tf32: Whether GPUs that have TF32 may use it.
        embedding_cache_bytes, embedding_cache_entries, embedding_host_bytes, embedding_disk_bytes, embedding_disk_entries,
        prediction_cache_bytes, prediction_cache_entries, image_cache_bytes, image_cache_entries:
            What the caches keep at most; None for the defaults (docs/caching.md).
        embedding_disk_folder: Folder in which image embeddings are kept for later sessions; None for none.
        embedding_compress: Keep embeddings off the device in half precision: half the bytes, no longer bit for bit.
        memory: Budget, thresholds and monitor.
        log: Receives the log from the first line on, on whatever thread. What it raises goes to `sys.unraisablehook`.
        log_level: `"error"`, `"warn"`, `"info"` or `"debug"`.

    Raises:
        LibraryNotFound: The shared library cannot be loaded.
        SamMmError: An option is wrong.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        backend_path: str | os.PathLike[str] | None = None,
        num_threads: int = 0,
        allow_tf32: bool = True,
        embedding_cache_bytes: int | None = None,
        embedding_cache_entries: int | None = None,
        embedding_host_bytes: int | None = None,
        embedding_disk_folder: str | os.PathLike[str] | None = None,
        embedding_disk_bytes: int | None = None,
        embedding_disk_entries: int | None = None,
        embedding_compress: bool = False,
        prediction_cache_bytes: int | None = None,
        prediction_cache_entries: int | None = None,
        image_cache_bytes: int | None = None,
        image_cache_entries: int | None = None,
        memory: MemoryOptions | None = None,
        log: LogCallback | None = None,
        log_level: str = "warn",
    ) -> None:
        point_at_torch()
        options = defaults(_raw.sam_mm_options, "sam_mm_options_init")
        options.device, options.num_threads = c_text(device, "device"), num_threads
        options.backend_path = None if backend_path is None else c_text(backend_path, "backend_path")
        options.allow_tf32 = int(allow_tf32)
        limits = {
            "embedding_cache_bytes": embedding_cache_bytes, "embedding_cache_entries": embedding_cache_entries,
            "embedding_host_bytes": embedding_host_bytes, "embedding_disk_bytes": embedding_disk_bytes,
            "embedding_disk_entries": embedding_disk_entries, "prediction_cache_bytes": prediction_cache_bytes,
            "prediction_cache_entries": prediction_cache_entries, "image_cache_bytes": image_cache_bytes,
            "image_cache_entries": image_cache_entries,
        }
        for name, limit in limits.items():
            if limit is not None:
                setattr(options, name, limit)
        if embedding_disk_folder is not None:
            options.embedding_disk_folder = c_text(embedding_disk_folder, "embedding_disk_folder")
        options.embedding_compress = int(embedding_compress)
        settings = memory.to_struct() if memory is not None else None
        if settings is not None:
            options.memory = ct.pointer(settings)
        # Every callback that the library was ever given. When two threads replace one at once, only the library knows which
        # is in place, so they stay until the context is gone.
        self._callbacks: list[Any] = []
        if log is not None:
            options.log_callback = self._kept(_log_function(log))
            options.log_level = _level(log_level)
        handle = ct.c_void_p()
        call("sam_mm_init", ct.byref(options), ct.byref(handle))
        self._owner = Owner(handle, "sam_mm_destroy", self._callbacks)

    def load_model(self, checkpoint: Source = None, precision: str | Precision = "fp32") -> Model:
        """Loads a model onto the context's device.

        Args:
            checkpoint: An official `.pth` or `.pt` as it is, a fine-tune in its layout, or `.safetensors`; or the bytes of
                such a file. None: the demo model that is built in, which knows drawn scenes, not photographs.
            precision: `"fp32"`, `"fp16"` or `"bf16"`.
        """
        options, kept = model_options(checkpoint, precision)
        handle = ct.c_void_p()
        call("sam_mm_model_load", self._handle, ct.byref(options), ct.byref(handle))
        del kept
        return Model(self, handle)

    def submit_load_model(self, checkpoint: Source = None, precision: str | Precision = "fp32") -> Job[Model]:
        """`load_model` on a thread of the context."""
        options, kept = model_options(checkpoint, precision)
        take = taken("sam_mm_job_take_model", lambda handle: Model(self, handle))
        return submit("sam_mm_job_submit_model_load", (self._handle, ct.byref(options)), take, (self, kept))

    def image(
        self, pixels: npt.ArrayLike, format: str | Format | None = None, *, content_id: bytes | str | None = None
    ) -> Image:
        """Makes an image from pixels, which are copied once; nothing is computed yet.

        Args:
            pixels: uint8, (height, width, 3), (height, width, 4), (height, width, 1) or (height, width). Rows may lie apart
                and may be a view of a part of an array.
            format: `"rgb"`, `"bgr"` (OpenCV), `"rgba"`, `"bgra"` or `"gray"`; None is RGB, RGBA or gray by the channels.
            content_id: What tells this picture from others, instead of the MD5 of its pixels.
        """
        return Image(self, pixels, format, content_id)

    @property
    def backend(self) -> BackendInfo:
        """The backend and device; loads them when that has not happened yet."""
        info = filled("sam_mm_backend_describe", self._handle, _raw.sam_mm_backend_info)
        return BackendInfo(text(info.name), text(info.version), text(info.path), text(info.device), text(info.trail))

    def memory_info(self) -> MemoryInfo:
        """Memory now, as far as it is known; works on every machine and loads nothing."""
        return MemoryInfo.from_struct(filled("sam_mem_info", self._handle, _raw.sam_mm_memory_info))

    def memory_status(self) -> MemoryStatus:
        """Device memory held against the thresholds."""
        return MemoryStatus.from_struct(filled("sam_mm_memory_check", self._handle, _raw.sam_mm_memory_status))

    def should_cache(self, tier: Tier = Tier.DEVICE) -> bool:
        """Whether a cache of your own may keep something more."""
        answer = ct.c_uint32()
        call("sam_mm_memory_should_cache", self._handle, tier, ct.byref(answer))
        return bool(answer.value)

    def optimize(self, force: bool = False) -> OptimizeReport:
        """Gives back what is short, or with `force` all that can be had."""
        report = sized(_raw.sam_mm_optimize_report)
        call("sam_optimize", self._handle, int(force), ct.byref(report))
        return OptimizeReport.from_struct(report)

    def memory_counters(self) -> MemoryCounters:
        """What was counted since the context was made."""
        return MemoryCounters.from_struct(filled("sam_mm_memory_describe", self._handle, _raw.sam_mm_memory_report))

    def memory_report(self) -> dict[str, Any]:
        """Everything that is known: counters, recoveries rung by rung, operations, who holds how much, recommendations."""
        capacity, required = 0, ct.c_uint64()
        while True:
            buffer = ct.create_string_buffer(capacity) if capacity else None
            call("sam_mm_memory_report_json", self._handle, buffer, capacity, ct.byref(required))
            if buffer is not None and required.value <= capacity:
                report: dict[str, Any] = json.loads(buffer.value)
                return report
            capacity = required.value

    def memory_events(self) -> Iterator[MemoryEvent]:
        """Takes the events that nobody has taken yet, the oldest first; the last 256 are kept."""
        while True:
            event, has_event = sized(_raw.sam_mm_memory_event), ct.c_uint32()
            call("sam_mm_memory_event_poll", self._handle, ct.byref(event), ct.byref(has_event))
            if not has_event.value:
                return
            yield MemoryEvent.from_struct(event)

    def on_memory_event(self, callback: EventCallback | None) -> None:
        """Sends memory events to a function, on the thread where they happen; None ends that. When this returns, the former
        function is not running any more. What it raises goes to `sys.unraisablehook`."""
        callable_or_none(callback, "callback")
        function = self._kept(_event_function(callback)) if callback is not None else _raw.sam_mm_memory_event_fn()
        call("sam_mm_memory_events_set", self._handle, function, None)

    def on_log(self, callback: LogCallback | None, level: str = "warn") -> None:
        """Sends the log up to a level to a function; None ends that. When this returns, the former function is not running
        any more."""
        callable_or_none(callback, "callback")
        function = self._kept(_log_function(callback)) if callback is not None else _raw.sam_mm_log_fn()
        call("sam_mm_log_set", self._handle, function, None, _level(level) if callback is not None else 0)

    def on_progress(self, callback: ProgressCallback | None) -> None:
        """Sends how far calls and jobs are to a function, on whatever thread; None ends that. Returning True cancels what it
        is about, and so does raising, which is reported to `sys.unraisablehook`."""
        callable_or_none(callback, "callback")
        function = self._kept(_progress_function(callback)) if callback is not None else _raw.sam_mm_progress_fn()
        call("sam_mm_progress_set", self._handle, function, None)

    def progress_events(self) -> Iterator[Progress]:
        """Takes the progress that nobody has taken yet, the oldest first; the last 256 are kept."""
        while True:
            event, has_event = sized(_raw.sam_mm_progress), ct.c_uint32()
            call("sam_mm_progress_poll", self._handle, ct.byref(event), ct.byref(has_event))
            if not has_event.value:
                return
            yield Progress.from_struct(event)

    def _kept(self, function: Any) -> Any:
        self._callbacks.append(function)
        return function

    def cache_info(self, cache: Cache) -> CacheInfo:
        """What a cache holds and how well it serves."""
        info = sized(_raw.sam_mm_cache_info)
        call("sam_mm_cache_describe", self._handle, cache, ct.byref(info))
        return CacheInfo.from_struct(info)

    def clear_cache(self, cache: Cache, *, keep: Image | None = None) -> int:
        """Drops all that a cache holds, but for what belongs to the picture of `keep`; returns the bytes given back at once.
        Clearing `Cache.EMBEDDING_DISK` deletes the files of the folder, whoever wrote them."""
        freed = ct.c_uint64()
        if keep is None:
            call("sam_mm_cache_clear", self._handle, cache, ct.byref(freed))
        else:
            call("sam_mm_cache_clear_except", self._handle, cache, keep._handle, ct.byref(freed))
        return int(freed.value)

    def prefetch_info(self) -> PrefetchInfo:
        """What prefetching is at. Never waits."""
        return PrefetchInfo.from_struct(filled("sam_mm_prefetch_describe", self._handle, _raw.sam_mm_prefetch_info))

    def clear_prefetch(self) -> None:
        """Takes all images out of the queue of `Model.prefetch`."""
        call("sam_mm_prefetch_clear", self._handle)

    def close(self) -> None:
        """Destroys the context; models, images and results made from it stay usable until they are closed themselves. Waits
        until no callback of it runs. From inside one, that happens on another thread."""
        super().close()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _level(name: str) -> int:
    try:
        return _LEVELS[name]
    except KeyError:
        raise ValueError(f"log_level is {name!r}; it must be one of {', '.join(_LEVELS)}") from None


def _log_function(callback: LogCallback) -> Any:
    def received(_: int | None, level: int, message: bytes) -> None:
        with in_callback():
            callback(_LEVEL_NAMES.get(level, str(level)), text(message))

    return _raw.sam_mm_log_fn(received)


def _event_function(callback: EventCallback) -> Any:
    def received(_: int | None, event: Any) -> None:
        with in_callback():
            callback(MemoryEvent.from_struct(event.contents))

    return _raw.sam_mm_memory_event_fn(received)


def _progress_function(callback: ProgressCallback) -> Any:
    def received(_: int | None, event: Any) -> int:
        return cancels(lambda: callback(Progress.from_struct(event.contents)))

    return _raw.sam_mm_progress_fn(received)
