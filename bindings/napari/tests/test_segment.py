"""Clicks and boxes become labels, in a real viewer."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

import drawn
import sam_mm
from napari_sam_mm import SegmentWidget
from napari_sam_mm import _pixels

DISC_MIDDLE = [150, 120]  # row, column
BAR_MIDDLE = [110, 300]


def is_label(panel, number: int) -> np.ndarray:
    return panel.session.labels.data == number


def test_a_click_becomes_a_label(panel, wait):
    panel.session.clicks.add([DISC_MIDDLE])
    wait(lambda: is_label(panel, 1).any())
    assert drawn.iou(is_label(panel, 1), drawn.disc()) > 0.8


def test_a_box_becomes_a_label(panel, wait):
    x0, y0, x1, y1 = drawn.BAR_BOX
    panel.session.boxes.add_rectangles([[y0, x0], [y1, x1]])
    wait(lambda: is_label(panel, 1).any())
    assert drawn.iou(is_label(panel, 1), drawn.bar()) > 0.8


def test_a_click_in_the_window_goes_the_whole_way(panel, wait):
    layer = panel.session.clicks
    event = SimpleNamespace(modifiers=(), type="mouse_press")
    panel.session._note_where(layer, event)
    layer.add([DISC_MIDDLE])
    wait(lambda: is_label(panel, 1).any())
    event.modifiers = ("Alt",)
    panel.session._note_where(layer, event)
    layer.add([[20, 20]])
    assert panel.session.pointed_at().inside == (True, False)
    panel.outside.setChecked(True)
    event.modifiers = ()
    panel.session._note_where(layer, event)
    layer.add([[25, 25]])
    assert panel.session.pointed_at().inside == (True, False, False)
    wait(lambda: not panel.engine.busy)
    assert drawn.iou(is_label(panel, 1), drawn.disc()) > 0.7


def test_undo_is_there_before_anything_else_happens(panel, wait):
    session = panel.session
    session.clicks.add([DISC_MIDDLE])
    wait(lambda: is_label(panel, 1).any())
    first = session.labels.data.copy()
    session.clicks.add([BAR_MIDDLE])
    wait(lambda: not panel.engine.busy and (session.labels.data != first).any())
    panel.undo()  # no event of the window is handled in between
    np.testing.assert_array_equal(session.labels.data, first)
    assert len(session.clicks.data) == 1
    panel.undo()
    assert not session.labels.data.any()
    panel.undo()


def test_undo_takes_clicks_and_boxes_in_the_order_they_came(panel, wait):
    session = panel.session
    session.clicks.add([DISC_MIDDLE])
    session.boxes.add_rectangles([[90, 60], [210, 180]])
    session.clicks.add([[140, 130]])
    panel.undo()
    assert (len(session.clicks.data), len(session.boxes.data)) == (1, 1)
    panel.undo()
    assert (len(session.clicks.data), len(session.boxes.data)) == (1, 0)
    panel.undo()
    assert (len(session.clicks.data), len(session.boxes.data)) == (0, 0)
    wait(lambda: not panel.engine.busy)
    assert not session.labels.data.any()


def test_kept_objects_stay_and_do_not_lose_pixels_to_the_next(panel, wait):
    session = panel.session
    session.clicks.add([DISC_MIDDLE])
    wait(lambda: is_label(panel, 1).any())
    disc = is_label(panel, 1)
    panel.keep()
    assert len(session.clicks.data) == 0 and session.labels.selected_label == 2
    session.boxes.add_rectangles([[60, 260], [160, 340]])
    wait(lambda: is_label(panel, 2).any())
    np.testing.assert_array_equal(is_label(panel, 1), disc)
    assert drawn.iou(is_label(panel, 2), drawn.bar()) > 0.8
    panel.clear()
    assert not is_label(panel, 2).any() and is_label(panel, 1).any()


def test_only_the_last_of_many_quick_clicks_is_shown(panel, wait):
    session = panel.session
    for column in range(100, 140, 2):
        session.clicks.add([[150, column]])
    wait(lambda: not panel.engine.busy)
    context = panel.engine.context
    model = panel.engine.model
    expected = model.predict_many(context.image(session.pixels()), [session.pointed_at().prompt()], multimask=False)
    np.testing.assert_array_equal(is_label(panel, 1), expected.best().array)


def test_the_window_goes_on_while_the_model_computes(panel, wait):
    """A request returns at once; what takes long happens on another thread."""
    here, threads = threading.get_ident(), []
    panel.engine.context.on_progress(lambda event: threads.append(threading.get_ident()) and None)
    panel.session.clicks.add([DISC_MIDDLE])
    assert panel.engine.busy and not panel.session.labels.data.any()
    wait(lambda: is_label(panel, 1).any())
    panel.engine.context.on_progress(None)
    assert threads and here not in threads


def test_the_next_images_are_encoded_ahead(panel, viewer, wait, scene):
    viewer.add_image(np.ascontiguousarray(scene[::-1]), name="second", rgb=True)
    viewer.add_image(scene[:, :, 0], name="third")
    panel.ahead.setChecked(True)
    wait(lambda: not panel.engine.encoding_ahead)
    cache = panel.engine.context.cache_info(sam_mm.Cache.EMBEDDING)
    assert cache.entries == 3
    panel.session.clicks.add([DISC_MIDDLE])
    wait(lambda: is_label(panel, 1).any())
    assert panel.engine.context.cache_info(sam_mm.Cache.EMBEDDING).misses == cache.misses


def test_planes_of_a_stack_have_objects_of_their_own(viewer, panel, wait, scene):
    stack = np.stack([scene[:, :, 0], scene[::-1, :, 0]])
    viewer.add_image(stack, name="stack")
    panel.images.setCurrentText("stack")
    panel.start()
    session = panel.session
    viewer.dims.set_current_step(0, 1)
    session.clicks.add([[1, 149, 120]])
    wait(lambda: (session.labels.data[1] == 1).any())
    assert not session.labels.data[0].any()
    viewer.dims.set_current_step(0, 0)
    assert len(session.clicks.data) == 0
    session.clicks.add([[0, 150, 120]])
    wait(lambda: session.labels.data[0].any())
    assert drawn.iou(session.labels.data[0] > 0, drawn.disc()) > 0.6


def test_another_model_is_loaded_and_a_bad_one_is_told(panel, wait, tmp_path):
    (tmp_path / "noise.pth").write_bytes(b"no model" * 100)
    panel.open_checkpoint(str(tmp_path / "noise.pth"))
    wait(lambda: not panel.engine.busy)
    assert "noise.pth" in panel.message.text()
    assert panel.models.currentText() == "noise.pth" and panel.engine.model is not None
    before = panel.engine.model
    panel.models.setCurrentIndex(0)
    panel.models.activated.emit(0)
    wait(lambda: panel.engine.model is not before)
    assert "sam" in panel.message.text()


def test_the_line_about_memory_is_that_of_the_library(panel, wait):
    panel.session.clicks.add([DISC_MIDDLE])
    wait(lambda: is_label(panel, 1).any())
    panel.show_memory()
    assert panel.memory.text().startswith("Running on CPU - memory stats not available\n1 image encoded")
    panel.free_memory()
    assert "given back" in panel.message.text() and "0 images encoded" in panel.memory.text()


def test_removing_the_image_ends_the_session(panel, viewer):
    viewer.layers.remove("scene")
    assert panel.session is None and not panel.keep_button.isEnabled() and panel.images.count() == 0
    panel.undo(), panel.keep(), panel.clear()


def test_closing_while_it_computes_is_safe(viewer, qtbot, scene):
    viewer.add_image(scene, name="scene", rgb=True)
    for _ in range(3):
        panel = SegmentWidget(viewer, device="cpu")
        panel.start()
        qtbot.waitUntil(lambda: panel.engine.model is not None, timeout=60_000)
        panel.session.clicks.add([DISC_MIDDLE])
        panel.close()
        panel.deleteLater()
        qtbot.wait(20)


def test_layers_follow_an_image_that_is_scaled_and_moved(viewer, panel, wait, scene):
    viewer.add_image(scene, name="placed", rgb=True, scale=(0.5, 0.5), translate=(10, 20))
    panel.images.setCurrentText("placed")
    panel.start()
    session = panel.session
    session.clicks.add([DISC_MIDDLE])
    wait(lambda: session.labels.data.any())
    np.testing.assert_allclose(session.labels.scale, (0.5, 0.5))
    np.testing.assert_allclose(session.clicks.translate, (10, 20))
    assert drawn.iou(session.labels.data > 0, drawn.disc()) > 0.8


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.float64])
def test_other_types_are_seen_within_their_contrast_limits(viewer, kind):
    data = np.linspace(100, 300, 64).reshape(8, 8).astype(kind)
    layer = viewer.add_image(data, contrast_limits=(100, 300))
    seen = _pixels.plane(layer, ())
    assert seen.dtype == np.uint8 and seen[0, 0] == 0 and seen[-1, -1] == 255
    layer.contrast_limits = (200, 300)
    assert (_pixels.plane(layer, ()).ravel()[:32] == 0).all()


def test_positions_of_napari_become_those_of_the_library():
    made = _pixels.to_pixels([[0, 0], [2, 5], [-3, 1000]], (10, 20))
    np.testing.assert_allclose(made, [[0.5, 0.5], [5.5, 2.5], [20, 0]])
