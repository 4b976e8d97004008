"""What a side answers, and how two answers differ."""

from dataclasses import dataclass

import numpy as np

LIMITS = {"logits": 1e-3, "scores": 1e-4, "mask_iou": 0.999}
"""Most that logits (at unit scale) and scores may differ by, least that masks must agree."""


@dataclass
class Outcome:
    """Of one case. Masks are packed to bits: a run keeps hundreds of them."""

    logits: np.ndarray
    """float32 (masks, 256, 256)"""
    scores: np.ndarray
    """float32 (masks,)"""
    masks: np.ndarray
    """bool (masks, height, width), as `np.packbits` along the last axis"""

    @classmethod
    def of(cls, logits, scores, masks) -> "Outcome":
        return cls(np.array(logits, np.float32), np.array(scores, np.float32), np.packbits(np.asarray(masks, bool), axis=-1))


@dataclass(frozen=True)
class Difference:
    """The worst over all masks compared."""

    logits: float
    scores: float
    mask_iou: float

    @property
    def within_limits(self) -> bool:
        # Written so that NaN is beyond.
        return (
            self.logits <= LIMITS["logits"] and self.scores <= LIMITS["scores"] and self.mask_iou >= LIMITS["mask_iou"]
        )


def difference(ours: Outcome, official: Outcome, scale: float) -> Difference:
    """`scale` is the standard deviation of the official logits: dividing by it brings them to unit scale."""
    for part in ("logits", "scores", "masks"):
        a, b = getattr(ours, part).shape, getattr(official, part).shape
        if a != b:
            raise SystemExit(f"{part} of sam-mm have shape {a}, official ones {b}")
    return Difference(
        logits=float(np.abs(ours.logits - official.logits).max() / scale),
        scores=float(np.abs(ours.scores - official.scores).max()),
        mask_iou=min(map(packed_iou, ours.masks, official.masks)),
    )


def packed_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two packed masks; two empty masks agree."""
    union = int(np.bitwise_count(a | b).sum())
    return int(np.bitwise_count(a & b).sum()) / union if union else 1.0


def worst(differences: list[Difference]) -> Difference:
    def largest(values):
        values = list(values)
        return float("nan") if any(v != v for v in values) else max(values)

    return Difference(
        largest(d.logits for d in differences),
        largest(d.scores for d in differences),
        min((d.mask_iou for d in differences), default=float("nan")),
    )
