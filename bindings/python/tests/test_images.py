"""Arrays of every make become the same picture, and nothing is copied that need not be."""

from __future__ import annotations

import numpy as np
import pytest

import sam_mm
from sam_mm import pixels


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (40, 56, 3), np.uint8)


@pytest.fixture
def encoded(fake):
    """The checksum of the pixels that the backend was given for an array."""
    context = fake.context()
    model = context.load_model(b"fake-model\n")

    def checksum(array, format=None) -> int:
        before = fake.value("calls.encode")
        context.clear_cache(sam_mm.Cache.EMBEDDING)
        context.image(array, format, content_id=str(before)).encode(model)
        assert fake.value("calls.encode") == before + 1
        return fake.value("last.checksum")

    return checksum


def test_views_and_orders_of_channels_are_one_picture(encoded, rgb):
    expected = encoded(rgb)
    wide = np.zeros((50, 90, 3), np.uint8)
    wide[5:45, 7:63] = rgb
    alpha = np.dstack([rgb, np.full(rgb.shape[:2], 9, np.uint8)])
    every = {
        "a part of a larger array": (wide[5:45, 7:63], None),
        "columns first": (np.asfortranarray(rgb), None),
        "mirrored back": (np.ascontiguousarray(rgb[:, ::-1])[:, ::-1], None),
        "upside down back": (np.ascontiguousarray(rgb[::-1])[::-1], None),
        "planes": (np.ascontiguousarray(rgb.transpose(2, 0, 1)).transpose(1, 2, 0), None),
        "bgr": (np.ascontiguousarray(rgb[:, :, ::-1]), "bgr"),
        "bgr as a view": (rgb[:, :, ::-1], sam_mm.Format.BGR),
        "rgba": (alpha, None),
        "bgra": (alpha[:, :, [2, 1, 0, 3]], "BGRA"),
        "a copy by name": (rgb.copy(), "rgb"),
    }
    for name, (array, format) in every.items():
        assert encoded(array, format) == expected, name
    assert encoded(np.ascontiguousarray(rgb[:, :, ::-1])) != expected


def test_gray_is_one_picture_with_and_without_its_axis(encoded, rgb):
    gray = rgb[:, :, 0]
    assert encoded(gray) == encoded(np.ascontiguousarray(gray)[:, :, np.newaxis]) == encoded(np.dstack([gray] * 3))


def test_rows_that_lie_apart_are_passed_as_they_are(rgb):
    wide = np.zeros((50, 90, 3), np.uint8)
    part = wide[5:45, 7:63]
    array, order = pixels.readable(part, None)
    assert np.shares_memory(array, wide) and order is sam_mm.Format.RGB
    assert (pixels.row_stride(array), pixels.span(array)) == (270, 270 * 39 + 168)
    array, _ = pixels.readable(rgb[:, ::2], None)
    assert not np.shares_memory(array, rgb)


@pytest.mark.parametrize(
    ("array", "format", "error", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), None, TypeError, "float32; they must be uint8"),
        (np.zeros((4, 4, 3), np.uint16), None, TypeError, "uint16"),
        (np.zeros((4, 4, 2), np.uint8), None, ValueError, "1, 3 or 4 channels, not 2"),
        (np.zeros((4, 4, 3), np.uint8), "rgba", ValueError, "3 channels, and RGBA has 4"),
        (np.zeros((4, 4, 3), np.uint8), "hsv", ValueError, "format is 'hsv'"),
        (np.zeros((4,), np.uint8), None, ValueError, r"shape \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), None, ValueError, "there are none"),
    ],
)
def test_other_arrays_are_refused_in_words(fake, array, format, error, words):
    with pytest.raises(error, match=words):
        fake.context().image(array, format)


def test_pictures_of_one_content_id_count_as_one(fake, rgb):
    context = fake.context()
    model = context.load_model(b"fake-model\n")
    context.image(rgb, content_id="a").encode(model)
    context.image(255 - rgb, content_id=b"a").encode(model)
    assert fake.value("calls.encode") == 1


def test_an_image_outlives_the_array_it_was_made_from(demo, context, scene):
    expected = demo.predict(context.image(scene), points=(120, 150)).masks
    temporary = scene.copy()
    made = context.image(temporary, content_id="outlives")
    temporary[:] = 0
    np.testing.assert_array_equal(demo.predict(made, points=(120, 150)).masks, expected)


def test_display_images_and_the_way_back(context, scene):
    with context.image(scene) as image, image.process(800, min_size=0) as display:
        assert (display.width, display.height) == (800, 600) and display.pixels.shape == (600, 800, 3)
        assert (display.scale_x, display.scale_y) == (2.0, 2.0)
        np.testing.assert_allclose(display.points_to_original([(800, 600), (100, 50)]), [(400, 300), (50, 25)])
        np.testing.assert_allclose(display.points_to_display((50, 25)), [(100, 50)])
        np.testing.assert_allclose(display.boxes_to_original([(0, 0, 900, 100)]), [(0, 0, 400, 50)])
        np.testing.assert_allclose(display.boxes_to_display((0, 0, 10, 20)), [(0, 0, 20, 40)])
        mask = np.zeros((300, 400), bool)
        mask[10:20, 30:50] = True
        shown = display.mask_to_display(mask)
        assert shown.dtype == np.bool_ and shown.sum() == 4 * mask.sum()
        np.testing.assert_array_equal(display.mask_to_original(shown), mask)
        gray = image.process(100, min_size=0, format="gray", shrinking=sam_mm.Interpolation.NEAREST)
        assert gray.pixels.shape == (75, 100)
        with pytest.raises(sam_mm.InvalidArgumentError, match="min_size"):
            image.process(100, min_size=3000)


def test_pixels_of_a_display_image_stay_readable_after_it_was_closed(context, scene):
    display = context.image(scene).process(200, min_size=0)
    shown, copied = display.pixels, display.pixels.copy()
    display.close()
    context.clear_cache(sam_mm.Cache.IMAGE)
    np.testing.assert_array_equal(shown, copied)
    with pytest.raises(ValueError):
        shown[0, 0] = 0
    with pytest.raises(sam_mm.InvalidHandleError):
        display.pixels
