"""Code as people have written it for the official `segment_anything` and `sam2`. It is run on both, and nothing in it knows
which."""

from __future__ import annotations

import numpy as np


def run(SamPredictor, sam, image: np.ndarray) -> dict[str, tuple]:
    """Every way of asking; masks, scores and logits of each."""
    predictor, made = SamPredictor(sam), {}
    assert not predictor.is_image_set
    try:
        predictor.predict(point_coords=np.array([[1, 1]]), point_labels=np.array([1]))
    except RuntimeError as error:
        assert "set_image" in str(error)
    else:
        raise AssertionError("a prediction without an image")

    predictor.set_image(image)
    assert predictor.is_image_set and tuple(predictor.original_size) == image.shape[:2]

    input_point, input_label = np.array([[120, 150]]), np.array([1])
    masks, scores, logits = predictor.predict(
        point_coords=input_point, point_labels=input_label, multimask_output=True,
    )
    made["one click, three masks"] = masks, scores, logits

    made |= one_object(predictor, scores, logits)
    made["logits at full size"] = predictor.predict(
        point_coords=input_point, point_labels=input_label, multimask_output=True, return_logits=True,
    )
    coords = predictor.transform.apply_coords(np.array([[400.0, 300.0]]), image.shape[:2])
    made["transformed coordinates"] = coords, np.array(predictor.input_size), np.array(predictor.original_size)

    predictor.set_image(image[:, :, ::-1], image_format="BGR")
    made["the same picture in BGR"] = predictor.predict(input_point, input_label)

    cropped = np.ascontiguousarray(image[40:240, 30:250])
    predictor.set_image(cropped)
    made["another image"] = predictor.predict(np.array([[90, 110]]), np.array([1]))
    predictor.reset_image()
    assert not predictor.is_image_set and predictor.features is None
    return made


def one_object(predictor, scores, logits) -> dict[str, tuple]:
    """What both predictors are asked after a click, whose masks these are."""
    made = {}
    # From the notebook of the official repository: the best logits narrow down a second click.
    mask_input = logits[np.argmax(scores), :, :]
    made["second click with a mask input"] = predictor.predict(
        point_coords=np.array([[120, 150], [150, 170]]), point_labels=np.array([1, 1]),
        mask_input=mask_input[None, :, :], multimask_output=False,
    )
    made["a background click"] = predictor.predict(
        point_coords=np.array([[300, 110], [120, 150]]), point_labels=np.array([1, 0]), multimask_output=False,
    )
    made["a box"] = predictor.predict(
        point_coords=None, point_labels=None, box=np.array([260, 60, 340, 160])[None, :], multimask_output=False,
    )
    made["a box and a background click"] = predictor.predict(
        point_coords=np.array([[20, 20]]), point_labels=np.array([0]), box=np.array([60, 90, 180, 210]),
        multimask_output=False,
    )
    return made


def run_batched(SamPredictor, sam, image: np.ndarray, tensor) -> dict[str, tuple]:
    """Many boxes at once, with tensors."""
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    input_boxes = tensor([[260, 60, 340, 160], [60, 90, 180, 210]])
    transformed = predictor.transform.apply_boxes_torch(input_boxes, image.shape[:2])
    masks, scores, logits = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=transformed, multimask_output=False,
    )
    return {"boxes in a batch": (masks.cpu().numpy(), scores.cpu().numpy(), logits.cpu().numpy())}


def everything(SamAutomaticMaskGenerator, sam, image: np.ndarray) -> list[dict]:
    """All masks, with parameters for a small model."""
    generator = SamAutomaticMaskGenerator(
        model=sam, points_per_side=8, points_per_batch=16, pred_iou_thresh=0.7, stability_score_thresh=0.8,
        crop_n_layers=1, crop_n_points_downscale_factor=2,
    )
    masks = generator.generate(image)
    assert all(type(mask["segmentation"]) is np.ndarray for mask in masks)
    return sorted(masks, key=lambda mask: mask["area"], reverse=True)


def run_sam2(predictor, image: np.ndarray) -> dict[str, tuple]:
    """Every way of asking a `SAM2ImagePredictor`; masks, scores and logits of each."""
    made = {}
    predictor.set_image(image)
    input_point, input_label = np.array([[120, 150]]), np.array([1])
    masks, scores, logits = predictor.predict(
        point_coords=input_point, point_labels=input_label, multimask_output=True,
    )
    made["one click, three masks"] = masks, scores, logits
    made["one click, one mask"] = predictor.predict(input_point, input_label, multimask_output=False)
    made |= one_object(predictor, scores, logits)
    boxes = np.array([[260, 60, 340, 160], [60, 90, 180, 210], [10, 10, 390, 290]])
    made["boxes in a batch"] = predictor.predict(box=boxes, multimask_output=False)
    made["boxes in a batch, three masks each"] = predictor.predict(box=boxes[:2], multimask_output=True)
    points = np.array([[[120, 150], [10, 10]], [[300, 110], [380, 20]]])
    made["clicks in a batch"] = predictor.predict(points, np.array([[1, 0], [1, 0]]), multimask_output=False)
    made["clicks and boxes in a batch"] = predictor.predict(
        points, np.array([[1, 0], [1, 0]]), box=boxes[[1, 0]], multimask_output=False,
    )
    made["masks in a batch"] = predictor.predict(
        points, np.array([[1, 0], [1, 0]]), mask_input=made["clicks in a batch"][2], multimask_output=False,
    )
    made["parts of the image"] = predictor.predict(
        np.array([[0.3, 0.5]]), np.array([1]), multimask_output=False, normalize_coords=False,
    )
    made["logits at full size"] = predictor.predict(
        point_coords=input_point, point_labels=input_label, multimask_output=True, return_logits=True,
    )

    cropped = np.ascontiguousarray(image[40:240, 30:250])
    predictor.set_image_batch([image, cropped])
    parts = predictor.predict_batch(
        [input_point, np.array([[[90, 110]], [[20, 30]]])], [input_label, np.array([[1], [1]])], multimask_output=False,
    )
    for index, name in enumerate(("first image of a batch", "second image of a batch, two objects")):
        made[name] = tuple(part[index] for part in parts)
    return made
