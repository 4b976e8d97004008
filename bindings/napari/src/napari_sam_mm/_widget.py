"""The panel in napari's window."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox, QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget,
)

import sam_mm

from ._engine import Engine
from ._pixels import plane, spatial_shape
from ._session import Session

DEMO = "Demo (drawn scenes)"
OPEN = "Open a checkpoint…"
#: How often the engine looks after what it encodes ahead, and how many of these the line about memory is good for.
TICK_MS, TICKS_OF_MEMORY = 250, 8


class _Bridge(QObject):
    """Brings calls of other threads to the thread of the window."""

    _called = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        # Another thread's signal is queued for the thread that this object lives in.
        self._called.connect(lambda function: function())

    def later(self, function: Callable[[], None]) -> None:
        try:
            self._called.emit(function)
        except RuntimeError:
            pass  # the window is gone, and with it whoever wanted to know


class SegmentWidget(QWidget):
    """Chooses model and image, starts, and has the buttons. `options` go to `sam_mm.Context`."""

    def __init__(self, napari_viewer: Any, **options: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session: Session | None = None
        bridge = _Bridge(self)
        self.engine = Engine(bridge.later, self._masked, self._say, **options)
        self._closed = False
        self._checkpoints: list[str | None] = [None]
        self._build()
        self.viewer.layers.events.inserted.connect(self._layers_changed)
        self.viewer.layers.events.removed.connect(self._layers_changed)
        self.viewer.layers.selection.events.active.connect(self._selected)
        for key, act in (("K", self.keep), ("U", self.undo)):
            self.viewer.bind_key(key, lambda _, act=act: act(), overwrite=True)
        self._layers_changed()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)
        self._ticks = 0
        self.show_memory()
        self.engine.load(None)

    # ---- the panel ----

    def _build(self) -> None:
        self.models, self.images = QComboBox(), QComboBox()
        self.models.addItems([DEMO, OPEN])
        self.models.activated.connect(self._model_chosen)
        form = QFormLayout()
        form.addRow("Model", self.models)
        form.addRow("Image", self.images)
        self.start_button = self._button("Start", "Adds layers for clicks, boxes and labels", self.start)
        self.outside = QCheckBox("Outside")
        self.outside.setToolTip("The next clicks say what does not belong to the object; or hold Alt")
        self.keep_button = self._button("Keep", "The object is final; the next click begins another (K)", self.keep)
        self.undo_button = self._button("Undo", "Takes the last click or box back (U)", self.undo)
        self.clear_button = self._button("Clear", "Begins the object anew", self.clear)
        row = QHBoxLayout()
        for widget in (self.outside, self.keep_button, self.undo_button, self.clear_button):
            row.addWidget(widget)
        self.ahead = QCheckBox("Encode the next images")
        self.ahead.setChecked(True)
        self.ahead.toggled.connect(self._encode_ahead)
        self.message, self.memory = QLabel(), QLabel()
        self.message.setWordWrap(True)
        self.memory.setWordWrap(True)
        free = self._button("Free memory", "Gives back what caches hold", self.free_memory)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.start_button)
        layout.addLayout(row)
        layout.addWidget(self.ahead)
        layout.addWidget(self.message)
        layout.addStretch()
        layout.addWidget(free)
        layout.addWidget(self.memory)
        self._enable()

    @staticmethod
    def _button(text: str, tip: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(lambda: act())
        return button

    def _enable(self) -> None:
        for button in (self.keep_button, self.undo_button, self.clear_button):
            button.setEnabled(self.session is not None)
        self.start_button.setEnabled(self.images.count() > 0)

    # ---- what its parts do ----

    def open_checkpoint(self, path: str) -> None:
        """Adds a checkpoint to the list, and loads it."""
        if path not in self._checkpoints:
            self._checkpoints.append(path)
            self.models.insertItem(len(self._checkpoints) - 1, Path(path).name)
        index = self._checkpoints.index(path)
        self.models.setCurrentIndex(index)
        self._model_chosen(index)

    def start(self) -> None:
        """Begins on the image that is chosen."""
        image = self.chosen_image()
        if image is None:
            return
        if self.session is not None:
            self.session.close()
        self.session = Session(self.viewer, image, self.engine, self.outside.isChecked)
        self._enable()
        self._encode_ahead()

    def chosen_image(self) -> Any:
        """The layer of the list; None when there is none."""
        layers = self._image_layers()
        index = self.images.currentIndex()
        return layers[index] if 0 <= index < len(layers) else None

    def keep(self) -> None:
        """Makes the object final."""
        if self.session is not None:
            self.session.keep()

    def undo(self) -> None:
        """Takes the last click or box back."""
        if self.session is not None:
            self.session.undo()

    def clear(self) -> None:
        """Begins the object anew."""
        if self.session is not None:
            self.session.clear()

    def free_memory(self) -> None:
        """Gives back what caches hold."""
        report = self.engine.context.optimize(force=True)
        freed = report.embedding_cache_bytes + report.prediction_cache_bytes + report.image_cache_bytes
        self._say(f"{(freed + report.allocator_bytes) / 2**20:.1f} MB given back")
        self.show_memory()

    def show_memory(self) -> None:
        """Refreshes the line about memory."""
        info = self.engine.context.memory_info()
        kept = self.engine.context.cache_info(sam_mm.Cache.EMBEDDING)
        images = f"{kept.entries} image{'' if kept.entries == 1 else 's'} encoded"
        process = "" if info.host_process is None else f", {info.host_process / 2**30:.2f} GB of host memory"
        self.memory.setText(f"{info.formatted}\n{images}{process}")

    # ---- what happens elsewhere ----

    def _tick(self) -> None:
        self.engine.tick()
        self._ticks += 1
        if self._ticks % TICKS_OF_MEMORY == 0:
            self.show_memory()

    def _masked(self, key: Hashable, clicks: Any, mask: Any) -> None:
        if self.session is not None:
            self.session.apply(key, clicks, mask)

    def _say(self, message: str) -> None:
        self.message.setText(message)

    def _model_chosen(self, index: int) -> None:
        if index < len(self._checkpoints):
            self.engine.load(self._checkpoints[index])
            return
        self.models.setCurrentIndex(0)
        path, _ = QFileDialog.getOpenFileName(self, "Open a checkpoint", "", "Checkpoints (*.pth *.pt *.safetensors)")
        if path:
            self.open_checkpoint(path)

    def _image_layers(self) -> list[Any]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def _layers_changed(self, event: Any = None) -> None:
        chosen = self.images.currentText()
        names = [layer.name for layer in self._image_layers()]
        self.images.clear()
        self.images.addItems(names)
        if chosen in names:
            self.images.setCurrentText(chosen)
        if self.session is not None and self.session.image not in self.viewer.layers:
            self.session.close()
            self.engine.forget(self.session.key)
            self.session = None
        self._enable()

    def _selected(self, event: Any = None) -> None:
        layer = self.viewer.layers.selection.active
        if isinstance(layer, Image):
            self.images.setCurrentText(layer.name)

    def _encode_ahead(self) -> None:
        """The image in hand first, for its first click; then those after it, around to those before it."""
        if self.session is None or not self.ahead.isChecked():
            self.engine.encode_ahead([])
            return
        layers = self._image_layers()
        at = layers.index(self.session.image)
        others = [layer for layer in layers[at + 1 :] + layers[:at] if len(spatial_shape(layer)) == 2]
        session = self.session
        self.engine.encode_ahead(
            [(session.key, session.pixels)]
            + [((id(layer), ()), lambda layer=layer: plane(layer, ())) for layer in others]
        )

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Ends all work."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Ends all work; the layers stay."""
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        if self.session is not None:
            self.session.close()
            self.session = None
        for events in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            events.disconnect(self._layers_changed)
        self.viewer.layers.selection.events.active.disconnect(self._selected)
        self.engine.close()
