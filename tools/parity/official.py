"""The official side: `SamPredictor` and `SAM2ImagePredictor`, one object after the other."""

import numpy as np
import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from .cases import cases
from .outcome import Choice, Outcome


def run(model, images: dict[str, np.ndarray], done) -> dict[str, list[Outcome]]:
    """Outcomes of every case of every image; `done` is called with the name of each finished image."""
    official = Official(model) if isinstance(model, Sam) else Official2(model)
    outcomes = {}
    for name, pixels in images.items():
        official.predictor.set_image(pixels)
        outcomes[name] = [official.answer(case) for case in cases(pixels)]
        done(name)
    return outcomes


class Official:
    """SAM."""

    def __init__(self, model):
        self.predictor = SamPredictor(model)

    def answer(self, case) -> Outcome:
        logits, scores, masks = [], [], []
        for prompt in case.prompts:
            made = self.predictor.predict(
                point_coords=prompt.points, point_labels=prompt.labels, box=prompt.box,
                mask_input=None if prompt.mask_input is None else prompt.mask_input[None],
                multimask_output=case.multimask,
            )
            for kept, part in zip((masks, scores, logits), made):
                kept.append(part)
        return Outcome.of(np.concatenate(logits), np.concatenate(scores), np.concatenate(masks))


class Official2(Official):
    """SAM 2. Its predictor keeps object scores, and which mask it chose, to itself; both are overheard."""

    def __init__(self, model):
        self.predictor = SAM2ImagePredictor(model)
        self.decoder = model.sam_mask_decoder
        self.object_scores, self.choices = [], []
        self.choose = self.decoder._dynamic_multimask_via_stability
        self.decoder._dynamic_multimask_via_stability = self.overheard_choice
        self.decoder.register_forward_hook(lambda decoder, inputs, made: self.object_scores.append(made[3].item()))

    def answer(self, case) -> Outcome:
        self.object_scores.clear()
        self.choices.clear()
        outcome = super().answer(case)
        outcome.object_scores = np.array(self.object_scores, np.float32)
        outcome.choices = list(self.choices)
        return outcome

    def overheard_choice(self, logits: torch.Tensor, scores: torch.Tensor):
        stability = self.decoder._get_stability_scores(logits[:, :1]).item()
        best, second = scores[0, 1:].topk(2).values.tolist()
        threshold = self.decoder.dynamic_multimask_stability_thresh
        self.choices.append(Choice(stable=stability >= threshold, margin=abs(stability - threshold), lead=best - second))
        return self.choose(logits, scores)


def deviation(outcomes: dict[str, list[Outcome]]) -> float:
    """The scale of the logits: their standard deviation in the case where it is least."""
    return min(float(outcome.logits.std(dtype=np.float64)) for of_image in outcomes.values() for outcome in of_image)
