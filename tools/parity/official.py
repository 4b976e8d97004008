"""The official side: `SamPredictor`, one object after the other."""

import numpy as np
import torch
from segment_anything import SamPredictor

from .cases import cases
from .outcome import Outcome


def run(sam, images: dict[str, np.ndarray], done) -> dict[str, list[Outcome]]:
    """Outcomes of every case of every image; `done` is called with the name of each finished image."""
    predictor, outcomes = SamPredictor(sam), {}
    for name, pixels in images.items():
        predictor.set_image(pixels)
        outcomes[name] = [predict(predictor, case) for case in cases(pixels)]
        done(name)
    return outcomes


def predict(predictor: SamPredictor, case) -> Outcome:
    logits, scores, masks = [], [], []
    for prompt in case.prompts:
        made = predictor.predict(
            point_coords=prompt.points, point_labels=prompt.labels, box=prompt.box,
            mask_input=None if prompt.mask_input is None else prompt.mask_input[None],
            multimask_output=case.multimask,
        )
        for kept, part in zip((masks, scores, logits), made):
            kept.append(part)
    return Outcome.of(np.concatenate(logits), np.concatenate(scores), np.concatenate(masks))


def deviation(outcomes: dict[str, list[Outcome]]) -> float:
    """Standard deviation of all logits: their scale."""
    every = torch.cat([torch.from_numpy(o.logits).flatten() for of_image in outcomes.values() for o in of_image])
    return float(every.double().std())
