"""Code for the official `SamPredictor` gives on `sam_mm.compat` what it gave on the official one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import drawn
import official_code
import sam_mm
from sam_mm import compat

GOLDEN = Path(__file__).parent / "golden" / "official.npz"
HAS_OFFICIAL = importlib.util.find_spec("segment_anything") is not None


class Tensor(np.ndarray):
    """As much of a tensor as code for boxes in a batch uses, where PyTorch is not installed."""

    @classmethod
    def of(cls, values) -> Tensor:
        return np.asarray(values).view(cls)

    def float(self) -> Tensor:
        return self.astype(np.float32)

    def new_tensor(self, values) -> Tensor:
        return np.asarray(values, self.dtype).view(Tensor)

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return np.asarray(self)


@pytest.fixture(scope="module")
def ours() -> dict[str, tuple]:
    sam = compat.sam_model_registry["vit_b"](checkpoint=None)
    sam.to(device="cpu").eval()
    return official_code.run(compat.SamPredictor, sam, drawn.scene())


@pytest.fixture(scope="module")
def golden() -> dict[str, tuple]:
    with np.load(GOLDEN) as file:
        names = dict.fromkeys(name.split("/")[0] for name in file if "/" in name)
        return {name: tuple(file[f"{name}/{part}"] for part in ("masks", "scores", "logits")) for name in names}


CASES = [
    "one click, three masks", "second click with a mask input", "a background click", "a box",
    "a box and a background click", "the same picture in BGR", "another image",
]


@pytest.mark.parametrize("name", CASES)
def test_masks_scores_and_logits_are_those_of_the_official_predictor(ours, golden, name):
    compare(ours[name], golden[name])


def compare(made, expected) -> None:
    masks, scores, logits = made
    assert masks.dtype == np.bool_ and masks.shape == expected[0].shape
    for mask, truth in zip(masks, expected[0]):
        assert drawn.iou(mask, truth) >= 0.999
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected[1], atol=2e-3)
    assert logits.dtype == np.float32 and logits.shape == expected[2].shape
    np.testing.assert_allclose(logits, expected[2].astype(np.float32), atol=0.05, rtol=2e-3)


def test_logits_at_full_size_are_those_of_the_official_predictor(ours, golden):
    masks, _, _ = ours["logits at full size"]
    assert masks.dtype == np.float32 and masks.shape == (3, drawn.HEIGHT, drawn.WIDTH)
    np.testing.assert_allclose(
        masks[:, ::5, ::5], golden["logits at full size"][0].astype(np.float32), atol=0.05, rtol=2e-3
    )
    np.testing.assert_array_equal(masks > 0, ours["one click, three masks"][0])


@pytest.fixture(scope="module")
def found() -> list[dict]:
    return official_code.everything(compat.SamAutomaticMaskGenerator, compat.build_sam(), drawn.scene())


def test_everything_in_an_image_is_what_the_official_generator_finds(found):
    with np.load(GOLDEN) as golden:
        masks = np.unpackbits(golden["everything:masks"], axis=-1, count=drawn.WIDTH).astype(bool)
        assert len(found) == len(masks) > 0
        for mine, mask, *rest in zip(found, masks, *(golden[f"everything:{name}"] for name in ("area", "bbox", "point_coords", "crop_box"))):
            area, box, point, crop = rest
            assert drawn.iou(mine["segmentation"], mask) >= 0.99
            assert abs(mine["area"] - area) <= max(4, area // 200)
            np.testing.assert_allclose(mine["bbox"], box, atol=1)
            np.testing.assert_allclose(mine["point_coords"], point, atol=1e-3)
            assert mine["crop_box"] == crop.tolist()
        for name in ("predicted_iou", "stability_score"):
            np.testing.assert_allclose([mask[name] for mask in found], golden[f"everything:{name}"], atol=5e-3)


def test_everything_comes_in_the_other_output_modes_too():
    coco = pytest.importorskip("pycocotools.mask")
    options = dict(points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    by_mode = {
        mode: compat.SamAutomaticMaskGenerator(compat.build_sam(), output_mode=mode, **options).generate(drawn.scene())
        for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    }
    for plain, runs, text in zip(*by_mode.values()):
        np.testing.assert_array_equal(coco.decode(text["segmentation"]).astype(bool), plain["segmentation"])
        assert type(text["segmentation"]["counts"]) is str
        assert sum(runs["segmentation"]["counts"]) == drawn.WIDTH * drawn.HEIGHT
    with pytest.raises(AssertionError, match="output_mode"):
        compat.SamAutomaticMaskGenerator(compat.build_sam(), output_mode="png")
    with pytest.raises(AssertionError, match="Exactly one"):
        compat.SamAutomaticMaskGenerator(compat.build_sam(), points_per_side=None)


def test_transformed_coordinates_and_sizes_are_those_of_the_official_predictor(ours, golden):
    for made, expected in zip(ours["transformed coordinates"], golden["transformed coordinates"]):
        np.testing.assert_array_equal(made, expected)


def test_boxes_in_a_batch_with_arrays_that_look_like_tensors(golden, monkeypatch):
    from sam_mm.compat import _predictor

    monkeypatch.setattr(_predictor, "_tensor_like", lambda tensor, values: values.view(Tensor))
    sam = compat.build_sam_vit_b()
    made = official_code.run_batched(compat.SamPredictor, sam, drawn.scene(), Tensor.of)
    masks, scores, logits = made["boxes in a batch"]
    for i, truth in enumerate(golden["boxes in a batch"][0]):
        assert drawn.iou(np.asarray(masks[i, 0]), truth[0]) >= 0.999
    assert masks.shape == (2, 1, drawn.HEIGHT, drawn.WIDTH) and scores.shape == (2, 1) and logits.shape == (2, 1, 64, 64)


def test_a_model_of_this_library_serves_as_well(demo, scene, ours):
    predictor = compat.SamPredictor(demo)
    predictor.set_image(scene)
    masks, _, _ = predictor.predict(np.array([drawn.DISC]), np.array([1]))
    np.testing.assert_array_equal(masks, ours["one click, three masks"][0])
    assert predictor.device == "cpu" and predictor.model.mask_threshold == 0.0


def test_coming_back_to_an_image_encodes_nothing(demo, scene):
    predictor = compat.SamPredictor(demo)
    other = np.ascontiguousarray(scene[:, ::-1])
    predictor.set_image(scene)
    predictor.set_image(other)
    misses = demo.context.cache_info(sam_mm.Cache.EMBEDDING).misses
    predictor.set_image(scene)
    assert demo.context.cache_info(sam_mm.Cache.EMBEDDING).misses == misses


def test_what_official_code_must_not_do_it_must_not_do_here(demo, scene):
    predictor = compat.SamPredictor(demo)
    with pytest.raises(RuntimeError, match="must be set"):
        predictor.predict(np.array([drawn.DISC]), np.array([1]))
    with pytest.raises(AssertionError, match="image_format"):
        predictor.set_image(scene, image_format="HSV")
    predictor.set_image(scene)
    with pytest.raises(AssertionError, match="point_labels"):
        predictor.predict(np.array([drawn.DISC]))
    with pytest.raises(NotImplementedError, match="backend"):
        predictor.get_image_embedding()
    with pytest.raises(TypeError, match="not a builtins.str"):
        compat.SamPredictor("vit_b")


@pytest.mark.skipif(not HAS_OFFICIAL, reason="segment-anything and PyTorch are not installed here (3 GB); run_tests.sh brings them along")
def test_tensors_in_are_tensors_out(demo, scene):
    import torch

    made = official_code.run_batched(compat.SamPredictor, demo, scene, torch.tensor)["boxes in a batch"]
    assert made[0].dtype == np.bool_ and made[0].shape == (2, 1, drawn.HEIGHT, drawn.WIDTH)


@pytest.mark.skipif(not HAS_OFFICIAL, reason="segment-anything and PyTorch are not installed here (3 GB); run_tests.sh brings them along")
def test_the_goldens_are_what_the_official_predictor_gives_now(tmp_path, golden):
    import subprocess
    import sys

    from conftest import ROOT

    out = tmp_path / "now.npz"
    subprocess.run([sys.executable, ROOT / "tools/goldens/make_predictor_goldens.py", out], check=True)
    with np.load(out) as now:
        for name in CASES:
            np.testing.assert_allclose(now[f"{name}/scores"], golden[name][1], atol=1e-4)
            for mask, expected in zip(now[f"{name}/masks"], golden[name][0]):
                assert drawn.iou(mask, expected) >= 0.9995
