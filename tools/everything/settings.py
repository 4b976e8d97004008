"""What the generators are asked: options by their official names."""

from dataclasses import dataclass

import numpy as np

from .found import Found

DROPPED = 0.3
"""The share of the masks of random weights that each threshold drops."""


@dataclass(frozen=True)
class Setting:
    name: str
    options: dict


def of_the_demo(points_per_side: int) -> list[Setting]:
    """Its scores mean something, so thresholds like the official ones do; its masks are coarser."""
    lenient = {"points_per_side": points_per_side, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.7}
    return variations(lenient) + [Setting("stricter", lenient | {"pred_iou_thresh": 0.7, "box_nms_thresh": 0.3})]


def of_random_weights(points_per_side: int, survey: list[Found], is_sam_2: bool) -> list[Setting]:
    """Their scores mean nothing: each threshold is put where it parts what the official generator finds without any."""
    options = {
        "points_per_side": points_per_side,
        "pred_iou_thresh": between([found.predicted_iou for found in survey], DROPPED),
        "stability_score_thresh": between([found.stability for found in survey], DROPPED),
        "box_nms_thresh": between(overlaps(survey), 1 - DROPPED),
    }
    of_sam_2 = [
        Setting("one mask a point", options | {"multimask_output": False}),
        Setting("refined", options | {"use_m2m": True}),
    ]
    return variations(options) + (of_sam_2 if is_sam_2 else [])


def without_thresholds(points_per_side: int) -> dict:
    return {"points_per_side": points_per_side, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}


def variations(options: dict) -> list[Setting]:
    return [
        Setting("whole image", options),
        Setting("with crops", options | {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2}),
        Setting("small regions removed", options | {"min_mask_region_area": 60}),
    ]


def between(values: list[float], share: float) -> float:
    """A threshold with about this share of the values below, as far from all of them as can be: rounding decides nothing."""
    ordered = np.unique(np.asarray(values, np.float64))
    ordered = ordered[np.isfinite(ordered)]  # an empty mask has no stability
    if len(ordered) < 2:
        return 1.0
    wanted, reach = int(share * len(ordered)), max(len(ordered) // 20, 1)
    first = max(wanted - reach, 0)
    gaps = np.diff(ordered[first : wanted + reach + 1])
    widest = first + int(gaps.argmax())
    return float((ordered[widest] + ordered[widest + 1]) / 2)


def overlaps(survey: list[Found]) -> list[float]:
    """IoU of the boxes of every two masks, as torchvision measures it; boxes that are the same left out."""
    boxes = np.array([found.box for found in survey], np.float32)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    corner, far = (pick(boxes[:, None, part], boxes[None, :, part]) for pick, part in (
        (np.maximum, slice(0, 2)), (np.minimum, slice(2, 4)),
    ))
    shared = np.clip(far - corner, 0, None).prod(-1)
    union = areas[:, None] + areas[None, :] - shared
    each = shared[np.triu_indices(len(boxes), 1)] / np.maximum(union[np.triu_indices(len(boxes), 1)], 1e-9)
    return each[each < 1].tolist()
