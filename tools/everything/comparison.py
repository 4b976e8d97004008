"""How the masks of two sides differ."""

from dataclasses import dataclass

from .found import Found, iou

LIMITS = {"mask_iou": 0.99, "predicted_iou": 1e-4, "stability": 1e-2}
"""Least that masks must agree, most that predicted IoU and stability may differ by: one pixel of a small mask is 1 %."""
SAME_SCORE = 1e-4
"""Masks whose scores differ by less may come in either order."""


@dataclass(frozen=True)
class Comparison:
    official: int
    ours: int
    matched: int
    """Masks of both sides that are the same, each with one other."""
    mask_iou: float
    """The least of those."""
    predicted_iou: float
    """The greatest difference."""
    stability: float
    """The greatest difference."""
    out_of_order: int
    """Neighbours in our order that are the other way round in the official one."""
    elsewhere: int
    """Masks of another point or crop than on the official side."""

    @property
    def within_limits(self) -> bool:
        return (
            self.official == self.ours == self.matched and self.out_of_order == 0 and self.elsewhere == 0
            and self.predicted_iou <= LIMITS["predicted_iou"] and self.stability <= LIMITS["stability"]
        )


def compare(ours: list[Found], official: list[Found]) -> Comparison:
    pairs = match(ours, official)
    return Comparison(
        official=len(official),
        ours=len(ours),
        matched=len(pairs),
        mask_iou=min((iou(a, b) for _, a, _, b in pairs), default=1.0),
        predicted_iou=max((abs(a.predicted_iou - b.predicted_iou) for _, a, _, b in pairs), default=0.0),
        stability=max((abs(a.stability - b.stability) for _, a, _, b in pairs), default=0.0),
        out_of_order=out_of_order(pairs),
        elsewhere=sum(not same_place(a, b) for _, a, _, b in pairs),
    )


def match(ours: list[Found], official: list[Found]) -> list[tuple[int, Found, int, Found]]:
    """Pairs of the same mask with their places in both lists, in the official order.

    Each official mask takes the one that is most alike of those left, first of all that in the same place.
    """
    left, pairs = dict(enumerate(ours)), []
    for index, theirs in enumerate(official):
        if index in left and iou(left[index], theirs) >= LIMITS["mask_iou"]:
            best = index
        else:
            best = max(left, key=lambda i: iou(left[i], theirs), default=None)
        if best is not None and iou(left[best], theirs) >= LIMITS["mask_iou"]:
            pairs.append((best, left.pop(best), index, theirs))
    return pairs


def out_of_order(pairs: list[tuple[int, Found, int, Found]]) -> int:
    """Scores that are the same but for rounding may trade places."""
    return sum(
        one[0] > other[0]
        and not (one[3].crop == other[3].crop and abs(one[3].predicted_iou - other[3].predicted_iou) < SAME_SCORE)
        for one, other in zip(pairs, pairs[1:])
    )


def same_place(a: Found, b: Found) -> bool:
    return all(abs(x - y) < 1e-2 for x, y in zip((*a.point, *a.crop), (*b.point, *b.crop)))
