"""Segmenting one image layer: the layers for clicks, boxes and labels, and the object that is being made."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._engine import Clicks, Engine
from ._pixels import plane, spatial_shape, to_pixels

INSIDE, OUTSIDE = "#31c45d", "#e5484d"
#: Adding, moving and removing are told before and after they happen.
BEFORE = ("adding", "changing", "removing")


class Session:
    """Clicks and boxes of a viewer become labels, through an engine.

    `outside()` tells whether the next click says what does not belong to the object.
    """

    def __init__(self, viewer: Any, image: Any, engine: Engine, outside: Callable[[], bool]) -> None:
        self.viewer, self.image, self._engine, self._outside = viewer, image, engine, outside
        self._shape = spatial_shape(image)
        # Positions of these layers are those of the image's data, wherever the image lies.
        placed = dict(scale=image.scale[-len(self._shape):], translate=image.translate[-len(self._shape):])
        self.labels = viewer.add_labels(np.zeros(self._shape, np.int32), name="labels", **placed)
        self.boxes = viewer.add_shapes(
            None, ndim=len(self._shape), name="boxes", face_color="transparent", edge_color=INSIDE, edge_width=2, **placed
        )
        self.clicks = viewer.add_points(
            None, ndim=len(self._shape), name="clicks", size=max(6.0, min(self._shape[-2:]) / 50), face_color=INSIDE,
            border_color="white", features={"inside": np.zeros(0, bool)}, **placed,
        )
        self.clicks.mouse_drag_callbacks.insert(0, self._note_where)
        self.clicks.events.data.connect(self._changed)
        self.boxes.events.data.connect(self._changed)
        viewer.dims.events.current_step.connect(self._moved)
        viewer.layers.selection.active = self.clicks
        self.clicks.mode = "add"
        self.boxes.mode = "add_rectangle"
        viewer.layers.selection.active = self.clicks
        self._order: list[str] = []
        self._counts = (0, 0)
        # Masks of this object by what it was pointed at with: undoing waits for nobody.
        self._known: dict[tuple[Hashable, Clicks], npt.NDArray[np.uint8]] = {}
        self._step = self._current_step()
        self._before = self._plane_of_labels().copy()
        self.object = int(self.labels.data.max()) + 1
        self.labels.selected_label = self.object

    # ---- what the user does ----

    def undo(self) -> None:
        """Takes the last click or box back."""
        if not self._order:
            return
        if self._order[-1] == "click":
            self.clicks.data = self.clicks.data[:-1]
        else:
            self.boxes.selected_data = {len(self.boxes.data) - 1}
            self.boxes.remove_selected()
        self._changed()

    def clear(self) -> None:
        """Begins the object anew."""
        self._engine.drop_request()
        self._empty()
        self._show(None)

    def keep(self) -> None:
        """Makes the object final; the next click begins another."""
        if not self._order:
            return
        self._engine.drop_request()
        self._before = self._plane_of_labels().copy()
        self._empty()
        self.object = max(self.object, int(self._before.max())) + 1
        self.labels.selected_label = self.object

    def close(self) -> None:
        """Leaves the layers alone from now on."""
        self._engine.drop_request()
        for events in (self.clicks.events.data, self.boxes.events.data):
            events.disconnect(self._changed)
        self.viewer.dims.events.current_step.disconnect(self._moved)
        if self._note_where in self.clicks.mouse_drag_callbacks:
            self.clicks.mouse_drag_callbacks.remove(self._note_where)

    # ---- what follows ----

    @property
    def key(self) -> Hashable:
        """The plane that is worked on."""
        return id(self.image), self._step

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Its pixels."""
        return plane(self.image, self._step)

    def pointed_at(self) -> Clicks:
        """The clicks and boxes on this plane."""
        points = np.asarray(self.clicks.data).reshape(-1, len(self._shape))
        here = self._on_plane(points)
        inside = np.asarray(self.clicks.features["inside"], bool)[here]
        size = self._shape[-2:]
        at = to_pixels(points[here][:, -2:], size)
        return Clicks(
            tuple((float(x), float(y)) for x, y in at), tuple(bool(value) for value in inside),
            tuple(box for box in map(self._box, self.boxes.data) if box is not None),
        )

    def apply(self, key: Hashable, clicks: Clicks, mask: npt.NDArray[np.bool_]) -> None:
        """The engine's answer."""
        self._known[key, clicks] = np.packbits(mask)
        if key == self.key and clicks == self.pointed_at():
            self._show(mask)

    def _box(self, corners: npt.ArrayLike) -> tuple[float, float, float, float] | None:
        corners = np.asarray(corners, float)
        if not self._on_plane(corners).all():
            return None
        at = to_pixels(corners[:, -2:], self._shape[-2:])
        (x0, y0), (x1, y1) = at.min(axis=0), at.max(axis=0)
        return (float(x0), float(y0), float(x1), float(y1)) if x1 > x0 and y1 > y0 else None

    def _on_plane(self, positions: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        there: npt.NDArray[np.bool_] = (np.round(positions[:, :-2]) == np.array(self._step)).all(axis=1)
        return there

    def _current_step(self) -> tuple[int, ...]:
        axes = len(self._shape) - 2
        steps = self.viewer.dims.current_step[self.viewer.dims.ndim - len(self._shape):][:axes]
        return tuple(min(int(step), length - 1) for step, length in zip(steps, self._shape))

    def _plane_of_labels(self) -> npt.NDArray[np.int32]:
        shown: npt.NDArray[np.int32] = self.labels.data[self._step]
        return shown

    def _note_where(self, layer: Any, event: Any) -> None:
        """Before the layer adds a click: whether it is inside."""
        inside = not (self._outside() or "Alt" in event.modifiers)
        layer.feature_defaults = {"inside": inside}
        layer.current_face_color = INSIDE if inside else OUTSIDE

    def _moved(self, event: Any = None) -> None:
        """Another plane of a stack is shown; what was begun on the one before stays there as it is."""
        step = self._current_step()
        if step != self._step:
            self._engine.drop_request()
            self._step = step
            self._before = self._plane_of_labels().copy()
            self._empty()

    def _changed(self, event: Any = None) -> None:
        if event is not None and str(getattr(event, "action", "")).rpartition(".")[2].lower() in BEFORE:
            return
        self._count()
        clicks = self.pointed_at()
        if not clicks:
            self._engine.drop_request()
            self._show(None)
        elif (known := self._known.get((self.key, clicks))) is not None:
            self._engine.drop_request()
            self._show(np.unpackbits(known, count=self._before.size).reshape(self._before.shape).astype(bool))
        else:
            self._engine.request(self.key, clicks, self.pixels)

    def _count(self) -> None:
        """Keeps the order in which clicks and boxes came."""
        counts = len(self.clicks.data), len(self.boxes.data)
        for kind, now, before in zip(("click", "box"), counts, self._counts):
            self._order += [kind] * (now - before)
            for _ in range(before - now):
                last = len(self._order) - 1 - self._order[::-1].index(kind)
                del self._order[last]
        self._counts = counts

    def _empty(self) -> None:
        """Removes clicks and boxes without asking for anything."""
        with self.clicks.events.data.blocker(self._changed), self.boxes.events.data.blocker(self._changed):
            self.clicks.data = np.empty((0, len(self._shape)))
            self.boxes.data = []
        self._order, self._counts = [], (0, 0)
        self._known.clear()

    def _show(self, mask: npt.NDArray[np.bool_] | None) -> None:
        """The labels before this object, with it on top; what other objects have stays theirs."""
        shown = self._before if mask is None else np.where(mask & (self._before == 0), self.object, self._before)
        self.labels.data[self._step] = shown
        self.labels.refresh()
