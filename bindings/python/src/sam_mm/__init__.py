"""Interactive Segment Anything that stays inside its memory budget.

    import sam_mm

    with sam_mm.Context() as context:
        model = context.load_model("sam_vit_b_01ec64.pth")     # without an argument: the built-in demo model
        result = model.predict(context.image(pixels), points=[(420, 310)])
        mask = result.best().array                             # bool, (height, width)

Code written for the official `SamPredictor` runs with `sam_mm.compat`.
"""

from ._errors import (
    BackendError, BackendNotFoundError, CancelledError, CheckpointError, ConflictError, DeviceLostError,
    DeviceUnavailableError, FileError, InternalError, InvalidArgumentError, InvalidHandleError, OutOfMemoryError,
    PoisonedError, SamMmError, UnsupportedError,
)
from ._library import LibraryNotFound, version
from .context import BackendInfo, Context
from .everything import EverythingOptions, EverythingStep, FoundMask, MaskSet
from .image import Display, Image
from .job import Job, JobInfo, Progress, ProgressSource, Stage
from .memory import (
    Cache, CacheInfo, EventKind, Health, Level, MemoryCounters, MemoryEvent, MemoryInfo, MemoryOptions, MemoryStatus,
    OptimizeReport, Paused, PrefetchInfo, Source, Tier,
)
from .model import Model, Precision, Prompt
from .pixels import Format, Interpolation
from .result import EmbeddingSource, Mask, Polygon, Result, Rung

__version__ = "0.1.0"

__all__ = [
    "BackendError", "BackendInfo", "BackendNotFoundError", "Cache", "CacheInfo", "CancelledError", "CheckpointError",
    "ConflictError", "Context", "DeviceLostError", "DeviceUnavailableError", "Display", "EmbeddingSource",
    "EventKind", "EverythingOptions", "EverythingStep", "FileError", "Format", "FoundMask", "Health", "Image",
    "InternalError", "Interpolation", "InvalidArgumentError", "InvalidHandleError", "Job", "JobInfo", "Level",
    "LibraryNotFound", "Mask", "MaskSet", "MemoryCounters", "MemoryEvent", "MemoryInfo", "MemoryOptions",
    "MemoryStatus", "Model", "OptimizeReport", "OutOfMemoryError", "Paused", "PoisonedError", "Polygon", "Precision",
    "PrefetchInfo", "Progress", "ProgressSource", "Prompt", "Result", "Rung", "SamMmError", "Source", "Stage",
    "Tier", "UnsupportedError", "version",
]
