"""A real viewer, and the plugin's panel with the demo model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import napari
import numpy as np
import pytest

PYTHON_TESTS = Path(__file__).resolve().parents[2] / "python/tests"
sys.path.insert(0, str(PYTHON_TESTS))

import drawn  # noqa: E402
from napari_sam_mm import SegmentWidget  # noqa: E402

TIMEOUT = 60_000


@pytest.fixture
def scene() -> np.ndarray:
    return drawn.scene()


@pytest.fixture
def viewer(qtbot) -> Iterator[napari.Viewer]:
    made = napari.Viewer(show=False)
    yield made
    made.close()


@pytest.fixture
def panel(viewer, qtbot, scene) -> Iterator[SegmentWidget]:
    """Started on the scene, with its model loaded."""
    viewer.add_image(scene, name="scene", rgb=True)
    made = SegmentWidget(viewer, device="cpu", num_threads=2)
    qtbot.addWidget(made)
    made.ahead.setChecked(False)
    qtbot.waitUntil(lambda: made.engine.model is not None, timeout=TIMEOUT)
    made.start()
    yield made
    made.shut_down()


@pytest.fixture
def wait(qtbot):
    return lambda condition: qtbot.waitUntil(condition, timeout=TIMEOUT)
