"""What a side answers, and how two answers differ."""

from dataclasses import dataclass, field

import numpy as np

LIMITS = {"logits": 1e-3, "scores": 1e-4, "mask_iou": 0.999, "object_scores": 1e-3}
"""Most that logits, scores and object scores (logits at unit scale) may differ by, least that masks must agree."""
TOO_CLOSE = 1e-4
"""Shares of pixels and scores that two sides, each right but for rounding, may see on different sides of a threshold."""


@dataclass(frozen=True)
class Choice:
    """How SAM 2 came to a single mask: its own token's if that is stable, else the best scored of the other three."""

    stable: bool
    margin: float
    """How far stability is from the threshold."""
    lead: float
    """By how much the best score of the three is above the second."""

    @property
    def too_close(self) -> bool:
        """Whether rounding decides."""
        return self.margin < TOO_CLOSE or not self.stable and self.lead < TOO_CLOSE


@dataclass
class Outcome:
    """Of one case. Masks are packed to bits: a run keeps hundreds of them."""

    logits: np.ndarray
    """float32 (masks, 256, 256)"""
    scores: np.ndarray
    """float32 (masks,)"""
    masks: np.ndarray
    """bool (masks, height, width), as `np.packbits` along the last axis"""
    object_scores: np.ndarray | None = None
    """float32 (objects,); None where there are none"""
    choices: list[Choice] = field(default_factory=list)
    """Of single masks of SAM 2 on the official side, one per object."""

    @classmethod
    def of(cls, logits, scores, masks) -> "Outcome":
        return cls(np.array(logits, np.float32), np.array(scores, np.float32), np.packbits(np.asarray(masks, bool), axis=-1))


@dataclass(frozen=True)
class Difference:
    """The worst over all masks compared."""

    logits: float
    scores: float
    mask_iou: float
    object_scores: float | None = None

    @property
    def within_limits(self) -> bool:
        # Written so that NaN is beyond.
        return (
            self.logits <= LIMITS["logits"] and self.scores <= LIMITS["scores"] and self.mask_iou >= LIMITS["mask_iou"]
            and (self.object_scores is None or self.object_scores <= LIMITS["object_scores"])
        )


def difference(ours: Outcome, official: Outcome, scale: float) -> Difference | None:
    """`scale` is the standard deviation of the official logits: dividing by it brings them to unit scale.

    Objects whose mask was too close a choice are left out; None when that is all of them.
    """
    for part in ("logits", "scores", "masks"):
        a, b = getattr(ours, part).shape, getattr(official, part).shape
        if a != b:
            raise SystemExit(f"{part} of sam-mm have shape {a}, official ones {b}")
    compared = [not choice.too_close for choice in official.choices] or [True] * len(official.masks)
    if not any(compared):
        return None
    return Difference(
        logits=float(np.abs(ours.logits - official.logits)[compared].max() / scale),
        scores=float(np.abs(ours.scores - official.scores)[compared].max()),
        mask_iou=min(map(packed_iou, ours.masks[compared], official.masks[compared])),
        object_scores=object_score_difference(ours.object_scores, official.object_scores),
    )


def object_score_difference(ours: np.ndarray | None, official: np.ndarray | None) -> float | None:
    if official is None:
        return None
    return float("nan") if ours is None else float(np.abs(ours - official).max())


def packed_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two packed masks; two empty masks agree."""
    union = int(np.bitwise_count(a | b).sum())
    return int(np.bitwise_count(a & b).sum()) / union if union else 1.0


def worst(differences: list[Difference]) -> Difference:
    def largest(values):
        values = list(values)
        return float("nan") if any(v != v for v in values) else max(values)

    object_scores = [d.object_scores for d in differences if d.object_scores is not None]
    return Difference(
        largest(d.logits for d in differences),
        largest(d.scores for d in differences),
        min((d.mask_iou for d in differences), default=float("nan")),
        largest(object_scores) if object_scores else None,
    )
