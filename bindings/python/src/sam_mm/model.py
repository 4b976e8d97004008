"""Models, and what they are asked."""

from __future__ import annotations

import ctypes as ct
import enum
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

from . import _raw
from ._call import Closable, Owner, c_text, call, defaults, filled, of_kind, text
from .everything import EverythingOptions, MaskSet, StepCallback
from .image import Image
from .job import Job, checked, submit, taken
from .pixels import address, points
from .result import Result

if TYPE_CHECKING:
    from .context import Context


class Precision(enum.IntEnum):
    """What weights are computed in."""

    FP32 = _raw.SAM_MM_PRECISION_FP32
    FP16 = _raw.SAM_MM_PRECISION_FP16
    BF16 = _raw.SAM_MM_PRECISION_BF16

    @classmethod
    def of(cls, value: str | Precision) -> Precision:
        """By name: `"fp32"`, `"fp16"`, `"bf16"`."""
        if isinstance(value, Precision):
            return value
        try:
            return cls[value.upper()]
        except KeyError:
            raise ValueError(f"precision is {value!r}; it must be fp32, fp16 or bf16") from None


@dataclass
class Prompt:
    """What one object is pointed at with; at least one of points, box and mask input.

    Attributes:
        points: x and y of each point, (n, 2), in pixels of the original image.
        labels: 1 foreground, 0 background, (n,); None when all are foreground.
        box: x0, y0, x1, y1.
        mask_input: Low-resolution logits of an earlier result of the same model, (mask_size, mask_size).
    """

    points: npt.ArrayLike | None = None
    labels: npt.ArrayLike | None = None
    box: npt.ArrayLike | None = None
    mask_input: npt.ArrayLike | None = None


class Request:
    """Prompts and boxes as the library takes them, with the arrays that they point to."""

    def __init__(self, prompts: Sequence[Prompt], boxes: npt.ArrayLike | None, multimask: bool) -> None:
        self._kept: list[Any] = []
        structs = (_raw.sam_mm_prompt * max(len(prompts), 1))()
        for place, prompt in zip(structs, prompts):
            self._fill(place, prompt)
        self._kept.append(structs)
        rows = points(boxes, 4, "boxes")
        self._kept.append(rows)
        self.struct = defaults(_raw.sam_mm_predict_request, "sam_mm_predict_request_init")
        self.struct.multimask = int(multimask)
        self.struct.prompts, self.struct.num_prompts = structs, len(prompts)
        self.struct.boxes, self.struct.num_boxes = address(rows), 0 if rows is None else len(rows)

    def _fill(self, place: _raw.sam_mm_prompt, prompt: Prompt) -> None:
        ct.memmove(ct.byref(place), ct.byref(defaults(_raw.sam_mm_prompt, "sam_mm_prompt_init")), ct.sizeof(place))
        coordinates = points(prompt.points, 2, "points")
        place.points, place.num_points = address(coordinates), 0 if coordinates is None else len(coordinates)
        labels = None if prompt.labels is None else np.ascontiguousarray(prompt.labels, np.int32).reshape(-1)
        if labels is not None and len(labels) != place.num_points:
            raise ValueError(f"there are {place.num_points} points and {len(labels)} labels")
        place.labels = address(labels)
        box = points(prompt.box, 4, "box")
        if box is not None and len(box) != 1:
            raise ValueError(f"box has the shape {box.shape}; a prompt has one, (4,). Several go into `boxes`")
        place.bounding_box = address(box)
        logits = None if prompt.mask_input is None else np.ascontiguousarray(prompt.mask_input, np.float32)
        place.mask_input, place.mask_input_len = address(logits), 0 if logits is None else logits.size
        self._kept.append((coordinates, labels, box, logits))


Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, None]


def model_options(source: Source, precision: str | Precision) -> tuple[_raw.sam_mm_model_options, Any]:
    """Options of loading, and the array that they may point to."""
    options = defaults(_raw.sam_mm_model_options, "sam_mm_model_options_init")
    options.precision = Precision.of(precision)
    if isinstance(source, (bytes, bytearray, memoryview)):
        kept = np.frombuffer(source, np.uint8)
        options.data, options.data_len = address(kept), kept.size
        return options, kept
    if source is not None:
        options.path = c_text(source, "source")
    return options, None


def _handle_of(image: Image) -> ct.c_void_p:
    hint = ", which Context.image makes of an array"
    handle: ct.c_void_p = of_kind(image, Image, "image", hint)._handle
    return handle


class Model(Closable):
    """A loaded model. May be used from many threads at once; they take turns. Made by `Context.load_model`."""

    def __init__(self, context: Context, handle: ct.c_void_p) -> None:
        self.context = context
        self._owner = Owner(handle, "sam_mm_model_free")
        info = filled("sam_mm_model_describe", handle, _raw.sam_mm_model_info)
        self.family, self.variant, self.name = text(info.family), text(info.variant), text(info.name)
        self.device, self.precision = text(info.device), Precision(info.precision)
        self.parameters, self.weight_bytes = int(info.parameters), int(info.weight_bytes)
        self.embedding_bytes = int(info.embedding_bytes)
        self.input_size, self.mask_size = int(info.input_size), int(info.mask_size)
        self.multimask_count = int(info.multimask_count)

    def predict(
        self,
        image: Image,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        *,
        multimask: bool = True,
    ) -> Result:
        """Masks of one object. Encodes the image first when this model has not seen it.

        Args:
            image: An image of the same context.
            points: x and y of each point, (n, 2), in pixels of the original image: (0, 0) is the corner of the first.
            labels: 1 foreground, 0 background, (n,); None when all are foreground.
            box: x0, y0, x1, y1.
            mask_input: Logits of an earlier result, (mask_size, mask_size).
            multimask: Three masks, for prompts that leave open what is meant, rather than one.
        """
        return self.predict_many(image, [Prompt(points, labels, box, mask_input)], multimask=multimask)

    def predict_many(
        self,
        image: Image,
        prompts: Iterable[Prompt] = (),
        boxes: npt.ArrayLike | None = None,
        *,
        multimask: bool = True,
    ) -> Result:
        """Masks of many objects in one go: those of `prompts`, then one for each of `boxes`, (n, 4)."""
        request = Request(list(prompts), boxes, multimask)
        handle = ct.c_void_p()
        call("sam_predict", self._handle, _handle_of(image), ct.byref(request.struct), ct.byref(handle))
        return Result(handle)

    def submit_predict(
        self,
        image: Image,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        *,
        multimask: bool = True,
    ) -> Job[Result]:
        """`predict` on a thread of the context. What was given may be changed afterwards."""
        return self.submit_predict_many(image, [Prompt(points, labels, box, mask_input)], multimask=multimask)

    def submit_predict_many(
        self,
        image: Image,
        prompts: Iterable[Prompt] = (),
        boxes: npt.ArrayLike | None = None,
        *,
        multimask: bool = True,
    ) -> Job[Result]:
        """`predict_many` on a thread of the context."""
        request = Request(list(prompts), boxes, multimask)
        arguments = (self._handle, _handle_of(image), ct.byref(request.struct))
        return submit("sam_mm_job_submit_predict", arguments, taken("sam_mm_job_take_result", Result), (self, image))

    def submit_encode(self, image: Image) -> Job[None]:
        """`Image.encode` on a thread of the context."""
        return submit("sam_mm_job_submit_encode", (self._handle, _handle_of(image)), checked, (self, image))

    def prefetch(self, image: Image, priority: int = 0) -> None:
        """Asks for an image to be encoded while nobody waits for anything, those of a larger priority first. Gives way to every
        other call, and rests while memory is full."""
        call("sam_mm_prefetch_add", self._handle, _handle_of(image), priority)

    def cancel_prefetch(self, image: Image) -> None:
        """Takes an image out of the queue, or stops encoding it for the queue."""
        call("sam_mm_prefetch_remove", self._handle, _handle_of(image))

    def segment_everything(
        self, image: Image, options: EverythingOptions | None = None, on_step: StepCallback | None = None
    ) -> MaskSet:
        """Finds all objects of an image that a grid of points finds. `on_step` is told how far it is, and cancels by returning
        True. What it raises ends the search too, and is raised here."""
        prepared = (options or EverythingOptions()).prepared(on_step)
        handle = ct.c_void_p()
        arguments = (_handle_of(image), self._handle, ct.byref(prepared.struct), ct.byref(handle))
        with prepared.raising():
            call("sam_mm_image_segment_everything", *arguments)
        return MaskSet(Owner(handle, "sam_mm_mask_set_free"))

    def submit_segment_everything(
        self, image: Image, options: EverythingOptions | None = None, on_step: StepCallback | None = None
    ) -> Job[MaskSet]:
        """`segment_everything` on a thread of the context, where `on_step` is called too."""
        prepared = (options or EverythingOptions()).prepared(on_step)
        take_set = taken("sam_mm_job_take_mask_set", lambda handle: MaskSet(Owner(handle, "sam_mm_mask_set_free")))

        def take(job: ct.c_void_p) -> MaskSet:
            with prepared.raising():
                return take_set(job)

        arguments = (self._handle, _handle_of(image), ct.byref(prepared.struct))
        return submit("sam_mm_job_submit_everything", arguments, take, (self, image, prepared))

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sam_mm.Model {self.family} {self.variant} on {self.device}{' closed' if self.closed else ''}>"
