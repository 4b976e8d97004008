"""Code for the official `SAM2ImagePredictor` gives on `sam_mm.compat` what it gave on the official one; and the rest of its
interface, for which any model serves."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import drawn
import official_code
from conftest import ROOT
from sam_mm import compat

GOLDEN = Path(__file__).parent / "golden" / "official_sam2.npz"
HAS_OFFICIAL = importlib.util.find_spec("sam2") is not None

CASES = [
    "one click, three masks", "one click, one mask", "second click with a mask input", "a background click", "a box",
    "a box and a background click", "boxes in a batch", "boxes in a batch, three masks each", "clicks in a batch",
    "clicks and boxes in a batch", "masks in a batch", "parts of the image", "first image of a batch",
    "second image of a batch, two objects",
]


def read(path: Path) -> dict[str, tuple]:
    with np.load(path) as file:
        names = dict.fromkeys(name.split("/")[0] for name in file if "/" in name)
        return {name: tuple(file[f"{name}/{part}"] for part in ("masks", "scores", "logits")) for name in names}


@pytest.fixture(scope="module")
def golden() -> dict[str, tuple]:
    return read(GOLDEN)


@pytest.fixture(scope="module")
def ours(context) -> dict[str, tuple]:
    model = context.load_model(ROOT / "models/sam2_demo.safetensors")
    return official_code.run_sam2(compat.SAM2ImagePredictor(model), drawn.scene())


def test_every_case_has_a_golden(golden):
    assert sorted(golden) == sorted([*CASES, "logits at full size"])


@pytest.mark.parametrize("name", CASES)
def test_masks_scores_and_logits_are_those_of_the_official_predictor(ours, golden, name):
    masks, scores, logits = ours[name]
    packed, expected_scores, expected_logits = golden[name]
    assert masks.dtype == np.float32 and set(np.unique(masks)) <= {0.0, 1.0}
    expected = np.unpackbits(packed, axis=-1, count=masks.shape[-1]).astype(bool)
    assert masks.shape == expected.shape
    # The model is random, and so many pixels lie on edges.
    assert ((masks > 0) != expected).mean() < 2e-3
    assert scores.dtype == np.float32 and scores.shape == expected_scores.shape
    np.testing.assert_allclose(scores, expected_scores, atol=1e-3)
    assert logits.dtype == np.float32 and logits.shape == expected_logits.shape
    np.testing.assert_allclose(logits, expected_logits.astype(np.float32), atol=5e-3, rtol=2e-3)


def test_logits_at_full_size_are_those_of_the_official_predictor(ours, golden):
    masks, _, _ = ours["logits at full size"]
    expected = golden["logits at full size"][0].astype(np.float32)
    assert masks.dtype == np.float32 and masks.shape == (3, drawn.HEIGHT, drawn.WIDTH)
    np.testing.assert_allclose(masks[:, ::5, ::5], expected, atol=5e-3, rtol=2e-3)


@pytest.mark.skipif(not HAS_OFFICIAL, reason="sam2 and PyTorch are not installed here (3 GB); run_tests.sh brings them along")
def test_the_goldens_are_what_the_official_predictor_gives_now(tmp_path, golden):
    out = tmp_path / "now.npz"
    subprocess.run([sys.executable, ROOT / "tools/goldens/make_sam2_predictor_goldens.py", out], check=True)
    now = read(out)
    for name in CASES:
        np.testing.assert_allclose(now[name][1], golden[name][1], atol=1e-4)
        np.testing.assert_allclose(now[name][2].astype(np.float32), golden[name][2].astype(np.float32), atol=2e-3, rtol=2e-3)


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
