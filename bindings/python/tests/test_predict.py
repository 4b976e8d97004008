"""Masks of the demo model on a drawn scene, in every form."""

from __future__ import annotations

import numpy as np
import pytest

import drawn
import sam_mm


def test_a_box_finds_the_disc(demo, image):
    result = demo.predict(image, box=drawn.DISC_BOX, multimask=False)
    assert len(result) == 1
    assert result[0].array.dtype == np.bool_ and result[0].array.shape == (drawn.HEIGHT, drawn.WIDTH)
    assert drawn.iou(result[0].array, drawn.disc()) > 0.8


def test_a_click_gives_three_masks_and_the_best_by_score(demo, image):
    result = demo.predict(image, points=drawn.DISC)
    assert (result.num_objects, result.masks_per_object, len(result)) == (1, 3, 3)
    assert result.masks.shape == (3, drawn.HEIGHT, drawn.WIDTH)
    assert result.best().index == int(np.argmax(result.scores))
    assert max(drawn.iou(mask, drawn.disc()) for mask in result.masks) > 0.8


def test_many_objects_are_numbered_prompts_first_and_then_boxes(demo, image):
    prompts = [sam_mm.Prompt(points=[drawn.DISC], labels=[1]), sam_mm.Prompt(box=drawn.BAR_BOX)]
    result = demo.predict_many(image, prompts, boxes=[drawn.DISC_BOX, drawn.BAR_BOX], multimask=False)
    assert [mask.object_index for mask in result] == [0, 1, 2, 3]
    np.testing.assert_array_equal(result.masks[1], result.masks[3])
    assert drawn.iou(result.masks[2], drawn.disc()) > 0.8 and drawn.iou(result.masks[3], drawn.bar()) > 0.8


def test_area_and_box_are_those_of_the_mask(demo, image):
    mask = demo.predict(image, box=drawn.BAR_BOX, multimask=False)[0]
    rows, columns = np.nonzero(mask.array)
    assert mask.area == len(rows) and mask.object_score is None
    assert mask.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_logits_serve_as_the_mask_input_of_a_later_prompt(demo, image):
    first = demo.predict(image, points=drawn.DISC)
    logits = first.best().logits
    assert logits.shape == (demo.mask_size, demo.mask_size) and logits.dtype == np.float32
    with_mask = demo.predict(image, points=drawn.DISC, mask_input=logits, multimask=False)
    without = demo.predict(image, points=drawn.DISC, multimask=False)
    assert not np.array_equal(with_mask[0].logits, without[0].logits)
    assert drawn.iou(with_mask[0].array, drawn.disc()) > 0.7


def test_logits_stay_readable_after_the_result_was_closed_and_cannot_be_written(demo, image):
    result = demo.predict(image, points=drawn.DISC)
    logits, copied = result[0].logits, result[0].logits.copy()
    result.close()
    del result
    np.testing.assert_array_equal(logits, copied)
    with pytest.raises(ValueError):
        logits[0, 0] = 1


def test_run_lengths_are_those_of_pycocotools(demo, image):
    coco = pytest.importorskip("pycocotools.mask")
    for mask in demo.predict(image, points=drawn.DISC):
        encoded = coco.encode(np.asfortranarray(mask.array.astype(np.uint8)))
        assert mask.rle() == encoded
        assert mask.rle(compressed=False) == {
            "size": encoded["size"],
            "counts": uncompressed(mask.array),
        }
        np.testing.assert_array_equal(coco.decode(mask.rle()).astype(bool), mask.array)


def uncompressed(mask: np.ndarray) -> list[int]:
    """Runs down the columns, starting with outside."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    starts = np.flatnonzero(np.diff(flat)).tolist()
    return np.diff([0, *starts, mask.size]).tolist()


def test_outlines_enclose_the_area_of_the_mask(demo, image):
    mask = demo.predict(image, box=drawn.DISC_BOX, multimask=False)[0]
    exact = mask.polygons()
    assert sum(signed_area(ring.points) for ring in exact) == pytest.approx(mask.area)
    rough = mask.polygons(tolerance=3.0, min_area=50, connectivity=8)
    assert sum(len(ring.points) for ring in rough) < sum(len(ring.points) for ring in exact)
    assert all(ring.parent is None or exact[ring.parent].parent is None for ring in exact)
    with pytest.raises(ValueError, match="connectivity is 6"):
        mask.polygons(connectivity=6)


def signed_area(ring: np.ndarray) -> float:
    """Positive for a ring that runs clockwise on the screen."""
    x, y = ring.astype(float).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def test_a_mask_is_written_into_memory_of_the_caller(demo, image):
    mask = demo.predict(image, box=drawn.DISC_BOX, multimask=False)[0]
    canvas = np.full((drawn.HEIGHT + 10, drawn.WIDTH + 20), 7, np.uint8)
    mask.copy_to(canvas[5:-5, 10:-10], on_value=255)
    np.testing.assert_array_equal(canvas[5:-5, 10:-10] == 255, mask.array)
    assert (canvas[:5] == 7).all() and (canvas[:, :10] == 7).all() and (canvas[:, -10:] == 7).all()
    for wrong in (canvas, canvas[5:-5, 10:-10].astype(float), canvas[5:-5, 10:-10].T):
        with pytest.raises(ValueError, match="must be writable"):
            mask.copy_to(wrong)


def test_the_second_prediction_on_an_image_reuses_its_embedding(demo, context, scene):
    fresh = context.image(np.ascontiguousarray(scene[::-1]))
    first = demo.predict(fresh, points=drawn.DISC)
    again = demo.predict(fresh, points=drawn.BAR)
    same = demo.predict(context.image(np.ascontiguousarray(scene[::-1])), points=drawn.DISC)
    assert (first.embedding_reused, first.prediction_reused) == (False, False) and first.encode_ms > 0
    assert (again.embedding_reused, again.prediction_reused) == (True, False)
    assert same.prediction_reused
    np.testing.assert_array_equal(same.masks, first.masks)


def test_a_model_tells_what_it_is(demo, context):
    assert (demo.family, demo.input_size, demo.mask_size, demo.multimask_count) == ("sam", 256, 64, 3)
    assert demo.device == "cpu" and demo.parameters == 1_567_048 and demo.precision is sam_mm.Precision.FP32
    assert context.backend.name == "torch" and "libtorch" in context.backend.version
    assert str(context.backend.path) in context.backend.trail


def test_a_model_loads_from_a_path_and_from_bytes(context, scene, tmp_path, demo, image):
    from conftest import ROOT

    content = (ROOT / "models/sam_demo.safetensors").read_bytes()
    odd = tmp_path / "Modèle 模型.safetensors"
    odd.write_bytes(content)
    expected = demo.predict(image, points=drawn.DISC).masks
    for source in (odd, str(odd), content, bytearray(content)):
        with context.load_model(source) as model:
            np.testing.assert_array_equal(model.predict(image, points=drawn.DISC).masks, expected)


def test_several_boxes_in_a_prompt_and_labels_without_points_are_refused(demo, image):
    with pytest.raises(ValueError, match="a prompt has one"):
        demo.predict(image, box=[drawn.DISC_BOX, drawn.BAR_BOX])
    with pytest.raises(ValueError, match="1 points and 2 labels"):
        demo.predict(image, points=[drawn.DISC], labels=[1, 0])
    with pytest.raises(ValueError, match=r"must be \(n, 2\)"):
        demo.predict(image, points=[[1, 2, 3]])
    with pytest.raises(IndexError):
        demo.predict(image, points=drawn.DISC)[3]
