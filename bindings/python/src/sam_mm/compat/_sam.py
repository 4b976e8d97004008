"""`sam_model_registry`: models by the names that official code asks for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from ..context import Context
from ..model import Model

_contexts: dict[str, Context] = {}
_lock = threading.Lock()


def shared_context(device: str) -> Context:
    """The context of a device: one memory manager and one set of caches for all that official code makes on it."""
    with _lock:
        context = _contexts.get(device)
        if context is None or context.closed:
            context = _contexts[device] = Context(device)
        return context


class Sam:
    """What stands in for `segment_anything.modeling.Sam`: a checkpoint and a device, loaded when first needed."""

    mask_threshold = 0.0
    image_format = "RGB"

    def __init__(self, checkpoint: str | os.PathLike[str] | None, device: Any = "cpu") -> None:
        self._checkpoint = checkpoint
        self._device = str(device)
        self._model: Model | None = None
        self._loading = threading.Lock()

    @classmethod
    def of(cls, model: Any) -> Sam:
        """A `Sam` for what a predictor was given: one, or a `sam_mm.Model`."""
        if isinstance(model, Model):
            made = cls(model.name, model.device)
            made._model = model
            return made
        if isinstance(model, cls):
            return model
        raise TypeError(f"a model of sam_mm.compat or sam_mm is needed, not a {type(model).__module__}.{type(model).__name__}")

    @property
    def device(self) -> str:
        """Where it is or will be."""
        return self._device

    def to(self, device: Any = None, **_: Any) -> Sam:
        """Moves to a device, given as a text or a `torch.device`."""
        if device is not None and str(device) != self._device:
            self._device, self._model = str(device), None
        return self

    def cuda(self, device: int | None = None) -> Sam:
        """Moves to a GPU."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    def cpu(self) -> Sam:
        """Moves to the CPU."""
        return self.to("cpu")

    def eval(self) -> Sam:
        """Models are only ever evaluated."""
        return self

    @property
    def model(self) -> Model:
        """The loaded model."""
        with self._loading:
            if self._model is None:
                self._model = shared_context(self._device).load_model(self._checkpoint)
            return self._model


def build_sam(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """A model from a checkpoint, whatever its size: that is found out from the file. None: the built-in demo model."""
    return Sam(checkpoint)


build_sam_vit_h = build_sam_vit_l = build_sam_vit_b = build_sam

sam_model_registry: dict[str, Callable[..., Sam]] = {
    name: build_sam for name in ("default", "vit_h", "vit_l", "vit_b", "vit_t")
}
