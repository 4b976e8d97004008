"""Draws scenes of overlapping objects with known masks.

An image is RGB uint8 (SIZE, SIZE, 3), a mask bool (SIZE, SIZE). `crates/scenes` draws the same distribution in Rust.
"""

import math

import cv2
import numpy as np

SIZE = 256
MIN_AREA = 150  # pixels; a smaller object does not count as one


def smooth_noise(rng, cells):
    """A smooth random field in 0..1, made of cells x cells random values."""
    values = rng.random((cells, cells), np.float32)
    return np.clip(cv2.resize(values, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 1)


def pattern(rng):
    """How far each pixel is from a surface's first colour to its second: flat, graded, striped, checked or mottled."""
    ys, xs = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    angle = rng.uniform(0, math.pi)
    ramp = xs * math.cos(angle) + ys * math.sin(angle)
    kind = rng.integers(5)
    if kind == 0:
        return np.zeros_like(xs)
    if kind == 1:
        return (ramp - ramp.min()) / np.ptp(ramp)
    if kind == 2:
        return (np.sin(ramp * rng.uniform(20, 120)) > 0).astype(np.float32)
    if kind == 3:
        frequency = rng.uniform(10, 50)
        return ((np.sin(xs * frequency) > 0) ^ (np.sin(ys * frequency) > 0)).astype(np.float32)
    return smooth_noise(rng, int(rng.integers(4, 40)))


def surface(rng):
    """Colours, float32 (SIZE, SIZE, 3) in 0..255, from one random colour to another in some pattern."""
    start, end = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    if rng.random() < 0.6:  # most surfaces vary little
        end = np.clip(start + rng.normal(0, 25, 3), 0, 255).astype(np.float32)
    return start + (end - start) * pattern(rng)[..., None]


def shape(rng):
    """Corners of a shape about the origin, as angles and shares of the radius: ellipse, box, polygon, star or blob."""
    kind = rng.integers(5)
    if kind == 0:
        return np.linspace(0, 2 * math.pi, 64, endpoint=False), np.ones(64)
    if kind == 1:
        return np.array([0.25, 0.75, 1.25, 1.75]) * math.pi, np.ones(4)
    if kind == 2:
        count = int(rng.integers(3, 9))
        return np.sort(rng.uniform(0, 2 * math.pi, count)), rng.uniform(0.6, 1.0, count)
    if kind == 3:
        count = 2 * int(rng.integers(4, 8))
        inner = np.arange(count) % 2 == 1
        return np.linspace(0, 2 * math.pi, count, endpoint=False), np.where(inner, rng.uniform(0.4, 0.7), 1.0)
    angles = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    waves = (rng.uniform(0, 0.28) / k * np.sin(k * angles + rng.uniform(0, 7)) for k in range(2, 6))
    return angles, 1 + sum(waves)


def outline(rng):
    """A filled random outline, which may reach out of the image."""
    cx, cy = rng.uniform(0.1, 0.9, 2) * SIZE
    radius = SIZE * rng.uniform(0.05, 0.33)
    stretch, turn = rng.uniform(0.45, 1.0), rng.uniform(0, 2 * math.pi)
    angles, shares = shape(rng)
    x, y = shares * np.cos(angles) * radius, shares * np.sin(angles) * radius * stretch
    px = cx + x * math.cos(turn) - y * math.sin(turn)
    py = cy + x * math.sin(turn) + y * math.cos(turn)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, [np.stack([px, py], 1).round().astype(np.int32)], 1)
    return mask.astype(bool)


def blur(plane, deviation):
    return cv2.GaussianBlur(plane.astype(np.float32), (0, 0), deviation)


def cast_shadow(rng, image, mask):
    shadow = blur(np.roll(mask, rng.integers(-8, 9, 2), (0, 1)), 4)
    return image * (1 - 0.4 * shadow[..., None])


def paint_object(rng, image, mask):
    """An object with a surface of its own, unevenly lit, with a soft edge."""
    shaded = surface(rng) * (0.75 + 0.5 * smooth_noise(rng, 3))[..., None]
    cover = blur(mask, rng.uniform(0.4, 1.2))[..., None]
    return image * (1 - cover) + shaded * cover


def part_of(rng, mask):
    """The outline of a part on an object, away from its edge."""
    return outline(rng) & cv2.erode(mask.astype(np.uint8), np.ones((5, 5))).astype(bool)


def scene(rng):
    """An image and the visible pixels of its objects, back to front; maybe none.

    A part on an object is an object of its own: a click on it may mean the whole or the part.
    """
    image, masks = surface(rng), []
    for _ in range(int(rng.integers(2, 9))):
        mask = outline(rng)
        if rng.random() < 0.3:
            image = cast_shadow(rng, image, mask)
        image = paint_object(rng, image, mask)
        masks = [below & ~mask for below in masks] + [mask]
        if rng.random() < 0.3:
            part = part_of(rng, mask)
            if part.sum() > MIN_AREA:
                image[part] = surface(rng)[part]
                masks.append(part)
    if rng.random() < 0.5:
        image = blur(image, rng.uniform(0.3, 1.5))
    image = image * rng.uniform(0.6, 1.2) + rng.normal(0, rng.uniform(0, 10), image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), [mask for mask in masks if mask.sum() > MIN_AREA]


def scene_with_objects(rng):
    while True:
        image, masks = scene(rng)
        if masks:
            return image, masks


def varied(rng, image, masks):
    """A drawn scene turned, mirrored and recoloured, so that a pool of scenes lasts longer."""
    quarter_turns, mirror = int(rng.integers(4)), rng.random() < 0.5

    def turned(plane):
        return np.ascontiguousarray(np.rot90(plane[:, ::-1] if mirror else plane, quarter_turns))

    image = turned(image)[..., rng.permutation(3)]
    if rng.random() < 0.3:
        image = 255 - image
    return image, [turned(mask) for mask in masks]
