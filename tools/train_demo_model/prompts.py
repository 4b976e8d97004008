"""Chooses clicks and boxes for masks."""

import cv2
import numpy as np


def inside(rng, mask):
    """A random pixel (x, y) of a mask that is not empty, away from its edge where the mask is thick enough."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    ys, xs = np.nonzero(depth >= min(rng.uniform(1, 6), 0.7 * depth.max()))
    i = rng.integers(len(xs))
    return float(xs[i]), float(ys[i])


def jittered_box(rng, mask):
    """x0, y0, x1, y1 of a box drawn around a mask by an unsteady hand."""
    ys, xs = np.nonzero(mask)
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    last = np.array(mask.shape[::-1] * 2) - 1
    return np.clip(box + rng.normal(0, 0.05, 4) * sides, 0, last).astype(np.float32)


def correction(rng, guess, truth):
    """A click inside the largest error of a guess: x, y, and its label (1: belongs to the object, 0: does not)."""
    wrong = guess != truth
    if wrong.sum() < 4:
        wrong = truth
    _, regions, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8))
    x, y = inside(rng, regions == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())
    return x, y, int(truth[int(y), int(x)])
