"""Work that a thread of the context does: futures, which can be awaited."""

from __future__ import annotations

import asyncio
import ctypes as ct
import enum
import itertools
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from . import _raw
from ._call import CLOSED, Owner, call, defaults, filled, in_callback, inside_callback
from ._errors import CancelledError, InvalidArgumentError, SamMmError

T = TypeVar("T")


class Stage(enum.IntEnum):
    """What a job is at. A library that is newer than this package may send others, as plain numbers."""

    WAITING = _raw.SAM_MM_JOB_STAGE_WAITING
    LOADING = _raw.SAM_MM_JOB_STAGE_LOADING
    READING = _raw.SAM_MM_JOB_STAGE_READING
    ENCODING = _raw.SAM_MM_JOB_STAGE_ENCODING
    DECODING = _raw.SAM_MM_JOB_STAGE_DECODING
    PROCESSING = _raw.SAM_MM_JOB_STAGE_PROCESSING
    ENDED = _raw.SAM_MM_JOB_STAGE_ENDED

    @classmethod
    def of(cls, number: int) -> Stage | int:
        """The stage of a number."""
        return cls(number) if number in cls._value2member_map_ else number


class ProgressSource(enum.IntEnum):
    """Whose progress it is."""

    CALL = _raw.SAM_MM_PROGRESS_CALL
    JOB = _raw.SAM_MM_PROGRESS_JOB
    PREFETCH = _raw.SAM_MM_PROGRESS_PREFETCH


@dataclass(frozen=True)
class Progress:
    """How far something is: `progress` is the done part of all, 0 to 1, within a stage an estimate. `status` is
    `SAM_MM_ERR_…` of what failed, else 0."""

    source: ProgressSource | int
    stage: Stage | int
    progress: float
    id: int
    status: int
    number: int
    at_ms: int

    @classmethod
    def from_struct(cls, event: _raw.sam_mm_progress) -> Progress:
        """What the library told."""
        known = event.source in ProgressSource._value2member_map_
        return cls(
            source=ProgressSource(event.source) if known else int(event.source), stage=Stage.of(event.stage),
            progress=event.progress, id=event.id, status=event.status, number=event.number, at_ms=event.at_ms,
        )


@dataclass(frozen=True)
class JobInfo:
    """A job at one moment."""

    id: int
    stage: Stage | int
    progress: float
    running: bool


class Job(Future[T]):
    """A call that a thread of the context makes: a `concurrent.futures.Future`, and `await job` gives its result.

    Like any future it goes on when nobody refers to it. Closing the context cancels it. Functions of `add_done_callback` run
    on a thread of the context, where waiting and predicting are refused.
    """

    def __init__(self, take: Callable[[ct.c_void_p], T], kept: Any) -> None:
        super().__init__()
        self._owner = CLOSED
        self._take = take
        # What would otherwise be collected, and cancel the job with it.
        self._kept = kept
        self.id = 0

    def describe(self) -> JobInfo:
        """Where it is. Never waits."""
        info = filled("sam_mm_job_describe", self._owner.handle, _raw.sam_mm_job_info)
        return JobInfo(int(info.id), Stage.of(info.stage), float(info.progress), info.state == _raw.SAM_MM_JOB_RUNNING)

    def running(self) -> bool:
        """Whether a thread is at it now."""
        return not self.done() and self.describe().running

    def cancel(self) -> bool:
        """Says that the result is not wanted any more. One that has not begun ends at once, one that runs as soon as it can,
        unless it has its result by then; False when it had ended already."""
        if self.done():
            return False
        call("sam_mm_job_cancel", self._owner.handle)
        return True

    def result(self, timeout: float | None = None) -> T:
        """Waits for the result, at most `timeout` seconds.

        Raises:
            TimeoutError: It has not ended by then.
            concurrent.futures.CancelledError: It was cancelled.
            SamMmError: It failed.
        """
        self._refuse_to_wait()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits, and gives what it failed with; None when it succeeded."""
        self._refuse_to_wait()
        return super().exception(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()

    def _refuse_to_wait(self) -> None:
        if inside_callback() and not self.done():
            raise InvalidArgumentError("a job cannot be waited for inside a callback, which it may be waiting for")

    def _end(self, handle: int) -> None:
        """Takes what came of it, inside the library's callback."""
        self._kept = None
        try:
            value = self._take(ct.c_void_p(handle))
        except CancelledError:
            super().cancel()
            self.set_running_or_notify_cancel()
        except BaseException as error:  # noqa: BLE001 - also what a function of the caller raised
            self.set_exception(error)
        else:
            self.set_result(value)


_numbers = itertools.count(1)
_pending: dict[int, Job[Any]] = {}


def submit(function: str, arguments: tuple[Any, ...], take: Callable[[ct.c_void_p], T], kept: Any) -> Job[T]:
    """Submits a job; `take` makes its result of the handle once it has ended, `kept` is what must not be collected before."""
    job, number, handle = Job(take, kept), next(_numbers), ct.c_void_p()
    options = defaults(_raw.sam_mm_job_options, "sam_mm_job_options_init")
    options.callback, options.user_data = _ENDED, number
    # It may end before the function returns.
    _pending[number] = job
    try:
        call(function, *arguments, ct.byref(options), ct.byref(handle))
    except BaseException:
        _pending.pop(number, None)
        raise
    job._owner = Owner(handle, "sam_mm_job_free")
    job.id = job.describe().id
    return job


def _ended(number: int | None, handle: int | None) -> None:
    with in_callback():
        job = _pending.pop(number or 0, None)
        if job is not None:
            job._end(handle or 0)


# One for all jobs, and never freed: a job may be collected, and free what it holds, inside of it.
_ENDED = _raw.sam_mm_job_fn(_ended)


def taken(function: str, make: Callable[[ct.c_void_p], T]) -> Callable[[ct.c_void_p], T]:
    """How a `sam_mm_job_take_…` function gives an object."""

    def take(job: ct.c_void_p) -> T:
        handle = ct.c_void_p()
        call(function, job, ct.byref(handle))
        return make(handle)

    return take


def checked(job: ct.c_void_p) -> None:
    """The end of a job that has nothing to take."""
    call("sam_mm_job_check", job)
