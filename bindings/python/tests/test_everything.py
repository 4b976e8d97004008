"""Everything in an image, images encoded ahead, and embeddings that outlive a session."""

from __future__ import annotations

import numpy as np
import pytest

import drawn
import sam_mm
from test_lifetime import wait_until

FEW = sam_mm.EverythingOptions(points_per_side=6, pred_iou_thresh=0.5, stability_score_thresh=0.5)


def test_a_grid_of_points_finds_the_objects(demo, image):
    masks = demo.segment_everything(image, FEW)
    assert masks.num_points == 36 and masks.num_crops == 1 and (masks.width, masks.height) == (drawn.WIDTH, drawn.HEIGHT)
    for truth in (drawn.disc(), drawn.bar()):
        assert max(drawn.iou(mask.array, truth) for mask in masks) > 0.7
    for mask in masks:
        assert mask.area == mask.array.sum() and mask.predicted_iou > 0.5 and mask.stability_score >= 0.5
        rows, columns = np.nonzero(mask.array)
        assert mask.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert mask.crop_box == (0, 0, drawn.WIDTH, drawn.HEIGHT) and mask.crop_layer == 0
        assert len(mask.polygons()) >= 1 and mask.rle()["size"] == [drawn.HEIGHT, drawn.WIDTH]


def test_points_of_ones_own_stand_in_for_the_grid(demo, image):
    own = sam_mm.EverythingOptions(
        point_grids=[[(drawn.DISC[0] / drawn.WIDTH, drawn.DISC[1] / drawn.HEIGHT)]], pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
    )
    masks = demo.segment_everything(image, own)
    assert masks.num_points == 1 and len(masks) >= 1
    np.testing.assert_allclose(masks[0].point, drawn.DISC, atol=1e-3)


def test_steps_are_told_with_their_masks_and_cancel(demo, image):
    steps, kept = [], []

    def hear(step: sam_mm.EverythingStep) -> None:
        steps.append(step.fraction)
        if step.masks is not None:
            assert all(mask.array.any() for mask in step.masks)
            kept.append(step.masks)

    masks = demo.submit_segment_everything(image, FEW, hear).result(60)
    assert steps == sorted(steps) and steps[-1] == 1.0 and len(masks) > 0 and kept
    with pytest.raises(sam_mm.InvalidHandleError):
        kept[0][0]
    with pytest.raises(sam_mm.CancelledError):
        demo.segment_everything(image, FEW, lambda step: True)


def test_what_a_step_raises_ends_the_search_and_reaches_the_caller(demo, image):
    def fails(step: sam_mm.EverythingStep) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough") as raised:
        demo.segment_everything(image, FEW, fails)
    assert isinstance(raised.value.__cause__, sam_mm.CancelledError)
    with pytest.raises(RuntimeError, match="enough"):
        demo.submit_segment_everything(image, FEW, fails).result(60)


def test_options_that_cannot_be_are_refused(demo, image):
    with pytest.raises(TypeError, match="on_step must be a function or None, not int"):
        demo.segment_everything(image, FEW, 5)
    with pytest.raises(sam_mm.InvalidArgumentError, match="points_per_side"):
        demo.segment_everything(image, sam_mm.EverythingOptions(points_per_side=5000))


def test_images_are_encoded_ahead_by_priority(fake, gray):
    context = fake.context()
    model = context.load_model(b"fake-model\n")
    fake.do("block encode")
    images = [context.image(gray, content_id=str(number)) for number in range(3)]
    model.prefetch(images[0])
    wait_until(lambda: fake.value("waiting.encode") == 1)
    model.prefetch(images[1])
    model.prefetch(images[2], priority=5)
    info = context.prefetch_info()
    assert (info.queued, info.running, info.done) == (2, True, 0) and info.queued_bytes == 2 * gray.size
    model.cancel_prefetch(images[1])
    assert context.prefetch_info().queued == 1
    fake.do("unblock encode")
    wait_until(lambda: context.prefetch_info().done == 2)
    assert model.predict(images[2], (1, 1)).embedding_reused and not model.predict(images[1], (1, 1)).embedding_reused
    model.prefetch(context.image(gray, content_id="last"))
    context.clear_prefetch()
    assert context.prefetch_info().queued == 0


def test_embeddings_are_found_on_disk_in_a_later_session(fake, gray, tmp_path):
    (tmp_path / "model").write_bytes(b"fake-model\n")
    for expected in (sam_mm.EmbeddingSource.ENCODED, sam_mm.EmbeddingSource.DISK):
        with fake.context(embedding_disk_folder=tmp_path / "kept") as context:
            model = context.load_model(tmp_path / "model")
            assert model.predict(context.image(gray), (1, 1)).embedding_source is expected
            model.close()
    with fake.context(embedding_disk_folder=tmp_path / "kept") as context:
        assert context.cache_info(sam_mm.Cache.EMBEDDING_DISK).entries == 1
        assert context.clear_cache(sam_mm.Cache.EMBEDDING_DISK) > 0
        assert context.cache_info(sam_mm.Cache.EMBEDDING_DISK).entries == 0


def test_clearing_may_keep_the_current_image(fake, gray):
    context = fake.context()
    model = context.load_model(b"fake-model\n")
    first, second = context.image(gray), context.image(255 - gray)
    for image in (first, second):
        model.predict(image, (1, 1))
    context.clear_cache(sam_mm.Cache.EMBEDDING, keep=second)
    context.clear_cache(sam_mm.Cache.PREDICTION, keep=second)
    assert context.cache_info(sam_mm.Cache.EMBEDDING).entries == 1
    assert model.predict(second, (1, 1)).prediction_reused
    assert model.predict(first, (1, 1)).embedding_source is sam_mm.EmbeddingSource.ENCODED


def test_the_host_tier_takes_its_limits(fake, gray):
    context = fake.context(embedding_host_bytes=4096, embedding_cache_entries=7, embedding_compress=True)
    info = context.cache_info(sam_mm.Cache.EMBEDDING)
    assert info.max_entries is not None
