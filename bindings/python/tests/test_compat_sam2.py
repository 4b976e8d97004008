"""The interface of `SAM2ImagePredictor`. Any model serves here; that SAM 2 gives the official logits is shown by the parity of
the C API."""

from __future__ import annotations

import numpy as np
import pytest

import drawn
from sam_mm import compat


@pytest.fixture
def predictor(demo, scene) -> compat.SAM2ImagePredictor:
    made = compat.SAM2ImagePredictor(demo)
    made.set_image(scene)
    return made


def test_one_object_comes_without_an_axis_for_objects(predictor, demo, image):
    masks, scores, logits = predictor.predict(np.array([drawn.DISC]), np.array([1]))
    assert masks.dtype == np.float32 and masks.shape == (3, drawn.HEIGHT, drawn.WIDTH)
    expected = demo.predict(image, points=drawn.DISC)
    np.testing.assert_array_equal(masks > 0, expected.masks)
    np.testing.assert_array_equal(scores, expected.scores)
    np.testing.assert_array_equal(logits, np.clip(expected.logits, -32, 32))


def test_boxes_and_points_in_a_batch_are_objects(predictor):
    masks, scores, logits = predictor.predict(box=np.array([drawn.DISC_BOX, drawn.BAR_BOX]), multimask_output=False)
    assert masks.shape == (2, 1, drawn.HEIGHT, drawn.WIDTH) and scores.shape == (2, 1) and logits.shape == (2, 1, 64, 64)
    assert drawn.iou(masks[0, 0] > 0, drawn.disc()) > 0.8 and drawn.iou(masks[1, 0] > 0, drawn.bar()) > 0.8
    points = np.array([[drawn.DISC], [drawn.BAR]])
    masks, _, _ = predictor.predict(points, np.array([[1], [1]]), box=[drawn.DISC_BOX, drawn.BAR_BOX], multimask_output=False)
    assert drawn.iou(masks[1, 0] > 0, drawn.bar()) > 0.8


def test_coordinates_may_be_parts_of_the_image_and_logits_may_be_wanted(predictor):
    part = np.array([[drawn.DISC[0] / drawn.WIDTH, drawn.DISC[1] / drawn.HEIGHT]])
    by_part, _, low = predictor.predict(part, [1], normalize_coords=False)
    by_pixel, _, _ = predictor.predict([drawn.DISC], [1])
    np.testing.assert_array_equal(by_part, by_pixel)
    again, _, _ = predictor.predict([drawn.DISC], [1], mask_input=low[:1], multimask_output=False, return_logits=True)
    assert again.shape == (1, drawn.HEIGHT, drawn.WIDTH) and again.min() < 0 < again.max()


def test_images_in_a_batch(demo, scene):
    predictor = compat.SAM2ImagePredictor(demo)
    predictor.set_image_batch([scene, np.ascontiguousarray(scene[40:240])])
    masks, scores, _ = predictor.predict_batch(
        [np.array([drawn.DISC]), np.array([(120, 110)])], [np.array([1]), np.array([1])], multimask_output=False
    )
    assert [mask.shape for mask in masks] == [(1, 300, 400), (1, 200, 400)] and len(scores) == 2


def test_what_must_not_be_done(demo):
    predictor = compat.SAM2ImagePredictor(demo)
    with pytest.raises(RuntimeError, match="set_image"):
        predictor.predict([drawn.DISC], [1])
    with pytest.raises(RuntimeError, match="batch"):
        predictor.predict_batch([[drawn.DISC]], [[1]])
    with pytest.raises(NotImplementedError):
        predictor.get_image_embedding()
    with pytest.raises(NotImplementedError):
        compat.SAM2ImagePredictor(demo, max_hole_area=8.0)
