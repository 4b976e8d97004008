"""`SamAutomaticMaskGenerator` as official code knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from ..everything import EverythingOptions, FoundMask
from ._sam import Sam

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class SamAutomaticMaskGenerator:
    """Finds all masks of an image. Parameters and their defaults are those of the official one."""

    def __init__(
        self,
        model: Any,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[npt.ArrayLike] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        assert (points_per_side is None) != (point_grids is None), (
            "Exactly one of points_per_side or point_grid must be provided."
        )
        assert output_mode in OUTPUT_MODES, f"Unknown output_mode {output_mode}."
        self.model, self.output_mode = Sam.of(model), output_mode
        self.options = EverythingOptions(
            points_per_side=points_per_side, points_per_batch=points_per_batch, pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh, stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh, crop_n_layers=crop_n_layers, crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio, crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            point_grids=point_grids, min_mask_region_area=min_mask_region_area,
        )

    def generate(self, image: npt.ArrayLike) -> list[dict[str, Any]]:
        """The masks of an image, uint8 (height, width, 3) in RGB, as the official generator describes them: `segmentation`,
        `area`, `bbox` (x, y, width, height), `predicted_iou`, `point_coords`, `stability_score`, `crop_box`."""
        model = self.model.model
        with model.context.image(image) as made, model.segment_everything(made, self.options) as masks:
            return [self._described(mask) for mask in masks]

    def _described(self, mask: FoundMask) -> dict[str, Any]:
        x0, y0, x1, y1 = (int(edge) for edge in mask.box)
        left, top, right, bottom = (int(edge) for edge in mask.crop_box)
        # There a box ends at its last pixel, so its width is one less than the number of columns.
        box = [x0, y0, max(x1 - 1 - x0, 0), max(y1 - 1 - y0, 0)]
        return {
            "segmentation": self._segmentation(mask), "area": mask.area, "bbox": box,
            "predicted_iou": mask.predicted_iou, "point_coords": [list(mask.point)],
            "stability_score": mask.stability_score, "crop_box": [left, top, right - left, bottom - top],
        }

    def _segmentation(self, mask: FoundMask) -> Any:
        if self.output_mode == "binary_mask":
            return mask.array
        if self.output_mode == "uncompressed_rle":
            return mask.rle(compressed=False)
        encoded = mask.rle()
        return {"size": encoded["size"], "counts": encoded["counts"].decode()}
