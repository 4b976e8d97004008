"""Memory: settings, figures, and what happened to it. Sizes are in bytes; shares are 0 to 1."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import Any

from . import _raw
from ._call import c_text, defaults, text


class Growth(enum.IntEnum):
    """Whether memory may grow past an estimate."""

    FROM_ENVIRONMENT = _raw.SAM_MM_GROWTH_FROM_ENVIRONMENT
    ENABLED = _raw.SAM_MM_GROWTH_ENABLED
    DISABLED = _raw.SAM_MM_GROWTH_DISABLED


class Source(enum.IntEnum):
    """What reports device memory."""

    NONE = _raw.SAM_MM_SOURCE_NONE
    NVML = _raw.SAM_MM_SOURCE_NVML
    CUDA = _raw.SAM_MM_SOURCE_CUDA
    BACKEND = _raw.SAM_MM_SOURCE_BACKEND


class Level(enum.IntEnum):
    """How full device memory is."""

    OK = _raw.SAM_MM_STATUS_OK
    WARNING = _raw.SAM_MM_STATUS_WARNING
    CRITICAL = _raw.SAM_MM_STATUS_CRITICAL
    UNKNOWN = _raw.SAM_MM_STATUS_UNKNOWN


class Tier(enum.IntEnum):
    """Where something may be kept."""

    DEVICE = _raw.SAM_MM_TIER_DEVICE
    HOST = _raw.SAM_MM_TIER_HOST


class Health(enum.IntEnum):
    """How the last recoveries went."""

    HEALTHY = _raw.SAM_MM_HEALTH_HEALTHY
    MONITORING = _raw.SAM_MM_HEALTH_MONITORING
    DEGRADED = _raw.SAM_MM_HEALTH_DEGRADED
    CRITICAL = _raw.SAM_MM_HEALTH_CRITICAL


class EventKind(enum.IntEnum):
    """Kinds of memory events. A library that is newer than this package may send others, as plain numbers."""

    CONFIG_WARNING = _raw.SAM_MM_EVENT_CONFIG_WARNING
    STATUS = _raw.SAM_MM_EVENT_STATUS
    OPTIMIZED = _raw.SAM_MM_EVENT_OPTIMIZED
    PLAN_DOWNGRADED = _raw.SAM_MM_EVENT_PLAN_DOWNGRADED
    RECOVERY_RUNG = _raw.SAM_MM_EVENT_RECOVERY_RUNG
    RECOVERED = _raw.SAM_MM_EVENT_RECOVERED
    RECOVERY_FAILED = _raw.SAM_MM_EVENT_RECOVERY_FAILED
    MONITOR = _raw.SAM_MM_EVENT_MONITOR
    PROBE_LOST = _raw.SAM_MM_EVENT_PROBE_LOST
    PROBE_BACK = _raw.SAM_MM_EVENT_PROBE_BACK


class Paused(enum.IntEnum):
    """Why prefetching rests."""

    NOT_PAUSED = _raw.SAM_MM_PREFETCH_NOT_PAUSED
    DEVICE = _raw.SAM_MM_PREFETCH_PAUSED_DEVICE
    HOST = _raw.SAM_MM_PREFETCH_PAUSED_HOST
    UNKNOWN = _raw.SAM_MM_PREFETCH_PAUSED_UNKNOWN
    CACHE = _raw.SAM_MM_PREFETCH_PAUSED_CACHE


class Cache(enum.IntEnum):
    """The caches of a context. `EMBEDDING` is the device and host memory together."""

    EMBEDDING = _raw.SAM_MM_CACHE_EMBEDDING
    EMBEDDING_DEVICE = _raw.SAM_MM_CACHE_EMBEDDING_DEVICE
    EMBEDDING_HOST = _raw.SAM_MM_CACHE_EMBEDDING_HOST
    EMBEDDING_DISK = _raw.SAM_MM_CACHE_EMBEDDING_DISK
    PREDICTION = _raw.SAM_MM_CACHE_PREDICTION
    IMAGE = _raw.SAM_MM_CACHE_IMAGE


@dataclass(frozen=True)
class MemoryOptions:
    """How a context handles memory; None leaves a field to the environment variable of docs/memory.md or its default."""

    fraction: float | None = None
    warning_threshold: float | None = None
    critical_threshold: float | None = None
    host_threshold: float | None = None
    growth: bool | None = None
    lower_precision: bool | None = None
    cpu_fallback: bool | None = None
    monitor: bool | None = None
    monitor_period_ms: int | None = None
    monitor_image_cache_bytes: int | None = None
    monitor_device_threshold: float | None = None
    max_age_ms: int | None = None
    nvml_library: str | None = None
    cudart_library: str | None = None

    def to_struct(self) -> _raw.sam_mm_memory_options:
        """The same for the library."""
        struct = defaults(_raw.sam_mm_memory_options, "sam_mm_memory_options_init")
        for name, value in vars(self).items():
            if value is None:
                continue
            if name == "growth":
                value = Growth.ENABLED if value else Growth.DISABLED
            elif isinstance(value, str):
                value = c_text(value, name)
            setattr(struct, name, value)
        return struct


@dataclass(frozen=True)
class MemoryInfo:
    """Memory at one moment. What could not be had is None."""

    formatted: str
    source: Source
    used: int | None
    total: int | None
    free: int | None
    utilization: float | None
    allocated: int | None
    reserved: int | None
    process: int | None
    host_total: int | None
    host_available: int | None
    host_process: int | None
    embedding_cache: int
    age_ms: int
    stale: bool
    device_name: str
    device_uuid: str
    failures: str

    def __str__(self) -> str:
        return self.formatted

    @classmethod
    def from_struct(cls, info: _raw.sam_mm_memory_info) -> MemoryInfo:
        """What the library told."""

        def when(bit: int, value: Any) -> Any:
            return value if info.known & bit else None

        device, allocator, host = _raw.SAM_MM_MEMORY_DEVICE, _raw.SAM_MM_MEMORY_ALLOCATOR, _raw.SAM_MM_MEMORY_HOST
        return cls(
            formatted=text(info.formatted), source=Source(info.source),
            used=when(device, info.used), total=when(device, info.total), free=when(device, info.free),
            utilization=when(device, info.utilization),
            allocated=when(allocator, info.allocated), reserved=when(allocator, info.reserved),
            process=when(_raw.SAM_MM_MEMORY_PROCESS, info.process),
            host_total=when(host, info.host_total), host_available=when(host, info.host_available),
            host_process=when(host, info.host_process),
            embedding_cache=info.embedding_cache, age_ms=info.age_ms, stale=bool(info.stale),
            device_name=text(info.device_name), device_uuid=text(info.device_uuid), failures=text(info.failures),
        )


@dataclass(frozen=True)
class MemoryStatus:
    """How full device memory is; `message` is empty when there is nothing to say."""

    level: Level
    utilization: float | None
    message: str

    @classmethod
    def from_struct(cls, status: _raw.sam_mm_memory_status) -> MemoryStatus:
        """What the library told."""
        share = None if math.isnan(status.utilization) else status.utilization
        return cls(Level(status.level), share, text(status.message))


@dataclass(frozen=True)
class OptimizeReport:
    """What was given back, and memory before and after; None where a figure could not be had."""

    performed: bool
    embedding_cache_bytes: int
    prediction_cache_bytes: int
    image_cache_bytes: int
    allocator_bytes: int
    used_before: int | None
    used_after: int | None
    allocated_before: int | None
    allocated_after: int | None
    host_process_before: int | None
    host_process_after: int | None

    @classmethod
    def from_struct(cls, report: _raw.sam_mm_optimize_report) -> OptimizeReport:
        """What the library told."""
        figures: dict[str, int | None] = {}
        for name, bit in (
            ("used", _raw.SAM_MM_MEMORY_DEVICE), ("allocated", _raw.SAM_MM_MEMORY_ALLOCATOR),
            ("host_process", _raw.SAM_MM_MEMORY_HOST),
        ):
            for moment in ("before", "after"):
                field_name = f"{name}_{moment}"
                figures[field_name] = getattr(report, field_name) if report.known & bit else None
        return cls(
            performed=bool(report.performed), embedding_cache_bytes=report.embedding_cache_bytes,
            prediction_cache_bytes=report.prediction_cache_bytes, image_cache_bytes=report.image_cache_bytes,
            allocator_bytes=report.allocator_bytes, **figures,
        )


@dataclass(frozen=True)
class MemoryEvent:
    """Something that happened to memory."""

    kind: EventKind | int
    number: int
    at_ms: int
    bytes: int
    value: float | None
    message: str

    @classmethod
    def from_struct(cls, event: _raw.sam_mm_memory_event) -> MemoryEvent:
        """What the library told."""
        known = event.kind in EventKind._value2member_map_
        return cls(
            kind=EventKind(event.kind) if known else int(event.kind), number=event.number, at_ms=event.at_ms,
            bytes=event.bytes, value=None if math.isnan(event.value) else event.value, message=text(event.message),
        )


@dataclass(frozen=True)
class MemoryCounters:
    """What was counted in a context since it was made. `counts` has the fields of `sam_mm_memory_report`."""

    health: Health
    counts: dict[str, int] = field(repr=False)

    def __getattr__(self, name: str) -> int:
        counts: dict[str, int] = self.__dict__.get("counts", {})
        if name not in counts:
            raise AttributeError(name)
        return counts[name]

    @classmethod
    def from_struct(cls, report: _raw.sam_mm_memory_report) -> MemoryCounters:
        """What the library told."""
        names = [name for name, *_ in report._fields_ if name not in ("struct_size", "health")]
        return cls(Health(report.health), {name: int(getattr(report, name)) for name in names})


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds and how well it serves. `max_entries` is None where only bytes count."""

    entries: int
    bytes: int
    max_entries: int | None
    max_bytes: int
    hits: int
    misses: int

    @classmethod
    def from_struct(cls, info: _raw.sam_mm_cache_info) -> CacheInfo:
        """What the library told."""
        limit = None if info.max_entries == 2**64 - 1 else info.max_entries
        return cls(info.entries, info.bytes, limit, info.max_bytes, info.hits, info.misses)


@dataclass(frozen=True)
class PrefetchInfo:
    """What prefetching is at; `reason` says why it rests. Counts are since the context was made."""

    queued: int
    queued_bytes: int
    running: bool
    done: int
    skipped: int
    cancelled: int
    paused: Paused | int
    reason: str

    @classmethod
    def from_struct(cls, info: _raw.sam_mm_prefetch_info) -> PrefetchInfo:
        """What the library told."""
        known = info.paused in Paused._value2member_map_
        return cls(
            queued=info.queued, queued_bytes=info.queued_bytes, running=bool(info.running), done=info.done,
            skipped=info.skipped, cancelled=info.cancelled, paused=Paused(info.paused) if known else int(info.paused),
            reason=text(info.reason),
        )
