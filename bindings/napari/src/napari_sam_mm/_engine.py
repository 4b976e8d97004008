"""The model and what it is asked, without a window: one prediction at a time, and images encoded ahead meanwhile."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import sam_mm

#: Images whose pixels are kept besides what napari has of them.
KEPT_IMAGES = 4


@dataclass(frozen=True)
class Clicks:
    """What an object is pointed at with, in pixels of the image: x and y, whether inside; x0, y0, x1, y1."""

    points: tuple[tuple[float, float], ...] = ()
    inside: tuple[bool, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points or self.boxes)

    @property
    def ambiguous(self) -> bool:
        """Whether they leave open what is meant: a single click."""
        return len(self.points) == 1 and not self.boxes

    def prompt(self) -> sam_mm.Prompt:
        """The same for the model. One box counts, the last."""
        return sam_mm.Prompt(
            points=list(self.points) or None, labels=[int(inside) for inside in self.inside] or None,
            box=self.boxes[-1] if self.boxes else None,
        )


#: Calls a function later on the thread of the window.
Later = Callable[[Callable[[], None]], None]


class Engine:
    """Everything here happens on the thread of the window; `later` brings what other threads have to say there.

    Args:
        later: Calls a function on that thread.
        on_mask: Receives a key, the clicks and the mask, bool (height, width).
        on_message: Receives a line for the user; empty when there is nothing to say.
    """

    def __init__(
        self,
        later: Later,
        on_mask: Callable[[Hashable, Clicks, npt.NDArray[np.bool_]], None],
        on_message: Callable[[str], None],
        **options: Any,
    ) -> None:
        self._later, self._on_mask, self._on_message = later, on_mask, on_message
        self._context = sam_mm.Context(**options)
        self._model: sam_mm.Model | None = None
        self._loading: sam_mm.Job[sam_mm.Model] | None = None
        self._images: OrderedDict[Hashable, sam_mm.Image] = OrderedDict()
        self._wanted: tuple[Hashable, Clicks, Callable[[], npt.NDArray[np.uint8]]] | None = None
        self._running: sam_mm.Job[sam_mm.Result] | None = None
        # Of what runs: a job may have its result before it hears that nobody wants it.
        self._answer_wanted = False
        self._ahead: deque[tuple[Hashable, Callable[[], npt.NDArray[np.uint8]]]] = deque()
        self._encoding: Hashable | None = None
        self._encoded: set[Hashable] = set()

    @property
    def context(self) -> sam_mm.Context:
        """For memory figures."""
        return self._context

    @property
    def model(self) -> sam_mm.Model | None:
        """The model, once it is loaded."""
        return self._model

    @property
    def busy(self) -> bool:
        """Whether something is loaded or predicted."""
        return self._loading is not None or self._running is not None

    @property
    def encoding_ahead(self) -> bool:
        """Whether an image is encoded that nobody clicked on yet, or will be."""
        return self._encoding is not None or bool(self._ahead)

    def load(self, checkpoint: str | None) -> None:
        """Loads a model in the background; None: the demo model. The former one goes when the new one is there."""
        if self._loading is not None:
            self._loading.cancel()
        self._on_message(f"loading {checkpoint or 'the demo model'} …")
        job = self._loading = self._context.submit_load_model(checkpoint)
        self._when_ended(job, self._loaded)

    def request(self, key: Hashable, clicks: Clicks, pixels: Callable[[], npt.NDArray[np.uint8]]) -> None:
        """Asks for the mask of some clicks on the image of a key; an earlier request that is not answered yet is dropped.
        `pixels` is called when the image is not known."""
        self.drop_request()
        self._wanted = (key, clicks, pixels)
        self._next()

    def drop_request(self) -> None:
        """Nothing is wanted any more."""
        self._wanted, self._answer_wanted = None, False
        if self._running is not None:
            self._running.cancel()

    def encode_ahead(self, images: Iterable[tuple[Hashable, Callable[[], npt.NDArray[np.uint8]]]]) -> None:
        """Images to encode while there is nothing else to do, in this order; replaces those given before. The library gives
        way to everything else, and rests while memory is full. One is handed to it at a time, so that the pixels of the
        others are not held."""
        self._ahead = deque(image for image in images if image[0] not in self._encoded)
        if self._encoding is not None:
            self._context.clear_prefetch()
            self._encoding = None
        self._next()

    def tick(self) -> None:
        """To be called now and then: looks whether an image that is encoded ahead is done."""
        if self._encoding is not None:
            info = self._context.prefetch_info()
            if info.queued == 0 and not info.running:
                self._encoded.add(self._encoding)
                self._encoding = None
                self._next()

    def forget(self, key: Hashable) -> None:
        """The image of a key changed or went."""
        self._encoded.discard(key)
        if (image := self._images.pop(key, None)) is not None:
            image.close()

    def close(self) -> None:
        """Ends all work and frees everything."""
        self._wanted, self._model = None, None
        self._ahead.clear()
        self._context.close()

    def _image(self, key: Hashable, pixels: Callable[[], npt.NDArray[np.uint8]]) -> sam_mm.Image:
        if key not in self._images:
            self._images[key] = self._context.image(pixels())
        self._images.move_to_end(key)
        while len(self._images) > KEPT_IMAGES:
            # What was computed for it stays in the caches.
            self._images.popitem(last=False)
        return self._images[key]

    def _when_ended(self, job: sam_mm.Job[Any], then: Callable[[sam_mm.Job[Any]], None]) -> None:
        job.add_done_callback(lambda ended: self._later(lambda: then(ended)))

    def _loaded(self, job: sam_mm.Job[sam_mm.Model]) -> None:
        if job is not self._loading:
            return
        self._loading = None
        if (model := self._value(job)) is not None:
            self._model = model
            # What was encoded is of no use to another model; the images are asked for again when a session begins.
            self._encoded.clear()
            self._on_message(f"{model.family} {model.variant} on {model.device}")
            self._next()

    def _next(self) -> None:
        """Begins what is most urgent."""
        if self._model is None or self._running is not None:
            return
        if self._wanted is not None:
            self._predict()
        elif self._ahead and self._encoding is None and self._loading is None:
            self._encode_ahead()

    def _predict(self) -> None:
        assert self._model is not None and self._wanted is not None
        key, clicks, pixels = self._wanted
        self._wanted = None
        try:
            image = self._image(key, pixels)
            job = self._model.submit_predict_many(image, [clicks.prompt()], multimask=clicks.ambiguous)
        except (sam_mm.SamMmError, ValueError, TypeError) as error:
            self._on_message(str(error))
            return
        self._running, self._answer_wanted = job, True
        self._when_ended(job, lambda ended: self._predicted(ended, key, clicks))

    def _predicted(self, job: sam_mm.Job[sam_mm.Result], key: Hashable, clicks: Clicks) -> None:
        self._running = None
        if (result := self._value(job)) is not None:
            self._encoded.add(key)
            if self._answer_wanted:
                self._on_message(_told(result))
                self._on_mask(key, clicks, result.best().array)
        self._next()

    def _encode_ahead(self) -> None:
        assert self._model is not None
        key, pixels = self._ahead.popleft()
        try:
            self._model.prefetch(self._image(key, pixels))
        except (sam_mm.SamMmError, ValueError, TypeError) as error:
            self._on_message(str(error))
            return
        self._encoding = key

    def _value(self, job: sam_mm.Job[Any]) -> Any:
        """The value of a job that has ended; failures are told to the user."""
        if job.cancelled():
            return None
        if (error := job.exception()) is not None:
            self._on_message(str(error))
            return None
        return job.result()


def _told(result: sam_mm.Result) -> str:
    """A prediction that was made otherwise than usual is worth a line."""
    if result.on_cpu:
        return "computed on the CPU: the GPU has no room"
    if result.recovered_by is not sam_mm.Rung.NONE:
        return "memory had run out; it worked after " + result.recovered_by.name.lower().replace("_", " ")
    return ""
