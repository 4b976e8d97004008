"""Measures how well a model finds objects in drawn scenes, with the official predictor.

    python evaluate.py ../../models/sam_demo.safetensors
    python evaluate.py ../../models/sam_demo.safetensors --scenes FOLDER

Prints the mean IoU with the true masks, by size of the object. Without --scenes, scenes are drawn here; with it they
are read from a folder that `cargo run --release -p sam-mm-scenes --example export_scenes -- FOLDER` wrote.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from segment_anything import SamPredictor

import model as demo
from data import sample
from prompts import correction
from scenes import scene_with_objects

SIZES = [(150, 600), (600, 2000), (2000, 6000), (6000, float("inf"))]
CORRECTIONS = 3


def drawn_scenes(seed, count):
    """Scenes drawn here: image, and per prompt the true mask, a click and a box."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        image, masks, clicks, boxes = sample(rng, *scene_with_objects(rng))
        yield image, list(zip(masks, clicks, boxes))


def exported_scenes(folder):
    """The same, from a folder that `export_scenes` wrote."""
    for scene in json.loads((folder / "scenes.json").read_text()):
        image = cv2.cvtColor(cv2.imread(str(folder / scene["image"])), cv2.COLOR_BGR2RGB)
        masks = [cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE) > 0 for name in scene["masks"]]
        prompts = [(masks[p["object"]], np.array(p["click"]), np.array(p["box"])) for p in scene["prompts"]]
        yield image, prompts


class Predictor:
    """The official predictor, for one prompt at a time."""

    def __init__(self, model):
        self.predictor = SamPredictor(model)

    def set_image(self, image):
        self.predictor.set_image(image)

    @torch.no_grad()
    def __call__(self, points=None, labels=None, box=None, mask_input=None, multimask=False):
        return self.predictor.predict(
            point_coords=None if points is None else np.array(points, np.float32),
            point_labels=None if labels is None else np.array(labels),
            box=box, mask_input=mask_input, multimask_output=multimask,
        )


def iou(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


def measure(predict, scenes, seed=0):
    """IoU of every prompt for one click (mask of the best score, best of three), a box, and a click with corrections;
    and the area of every true mask."""
    rng = np.random.default_rng(seed)
    found = {"click": [], "best of three": [], "box": [], "corrected": [], "area": []}
    for image, prompts in scenes:
        predict.set_image(image)
        for truth, click, box in prompts:
            masks, scores, logits = predict([click], [1], multimask=True)
            best = scores.argmax()
            found["click"].append(iou(masks[best], truth))
            found["best of three"].append(max(iou(mask, truth) for mask in masks))
            found["box"].append(iou(predict(box=box)[0][0], truth))
            mask, logits, points, labels = masks[best], logits[best], [tuple(click)], [1]
            for _ in range(CORRECTIONS):
                x, y, label = correction(rng, mask, truth)
                points, labels = points + [(x, y)], labels + [label]
                masks, _, logits = predict(points, labels, mask_input=logits.reshape(1, *logits.shape[-2:]))
                mask = masks[0]
            found["corrected"].append(iou(mask, truth))
            found["area"].append(truth.sum())
    areas = np.array(found.pop("area"))
    return {name: np.array(values) for name, values in found.items()}, areas


def table(figures, areas):
    rows = [(f"{low}–{high}" if high < float("inf") else f"over {low}", (areas > low) & (areas <= high))
            for low, high in SIZES]
    rows.append(("all", areas > 0))
    yield "| object | n | one click, best-scored mask | one click, best of three | box | click + 3 corrections |"
    yield "|---|---|---|---|---|---|"
    for name, chosen in rows:
        cells = " | ".join(f"{values[chosen].mean():.2f}" for values in figures.values())
        yield f"| {name} | {chosen.sum()} | {cells} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help=".safetensors or .pth file of the demo model")
    parser.add_argument("--scenes", type=Path, help="folder of exported scenes")
    parser.add_argument("--count", type=int, default=150, help="scenes to draw when none are given")
    parser.add_argument("--seed", type=int, default=12345)
    args = parser.parse_args()
    scenes = exported_scenes(args.scenes) if args.scenes else drawn_scenes(args.seed, args.count)
    figures, areas = measure(Predictor(demo.load(args.model).eval()), scenes, args.seed)
    print("\n".join(table(figures, areas)))


if __name__ == "__main__":
    main()
