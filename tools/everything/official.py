"""The official side: `SamAutomaticMaskGenerator` and `SAM2AutomaticMaskGenerator`."""

import cv2
import numpy as np
import torch
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2.utils import misc
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam

from .found import Found


def generate(model, pixels: np.ndarray, options: dict) -> list[Found]:
    generator = SamAutomaticMaskGenerator if isinstance(model, Sam) else SAM2AutomaticMaskGenerator
    return [found(record) for record in generator(model, **options).generate(pixels)]


def found(record: dict) -> Found:
    left, top, width, height = record["bbox"]
    return Found(
        mask=np.packbits(record["segmentation"], axis=-1), area=record["area"],
        box=(left, top, left + width, top + height), predicted_iou=record["predicted_iou"],
        stability=record["stability_score"], point=tuple(record["point_coords"][0]), crop=tuple(record["crop_box"]),
    )


def connected_components(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of bool (N, 1, H, W): numbers of components, and of each cell the cells of its component, 0 in the background."""
    labels, areas = [], []
    for mask in masks[:, 0].numpy().astype(np.uint8):
        _, label, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        labels.append(label)
        areas.append(np.where(label > 0, statistics[label, cv2.CC_STAT_AREA], 0))
    return torch.from_numpy(np.stack(labels))[:, None], torch.from_numpy(np.stack(areas))[:, None]


# The package has this as a CUDA kernel only; without one it leaves small regions in, with a warning.
misc.get_connected_components = connected_components
