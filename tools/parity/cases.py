"""What both sides are asked: every kind of prompt, with one mask and with several."""

from dataclasses import dataclass

import formula
import numpy as np
import prompts as golden_prompts
from reference.sam_mm import Prompt

MASK_SIZE = 256
OUTSIDE_THE_API = {"a_point_that_is_none", "clicks_outside"}
"""Prompts that the C API refuses: a label of -1, coordinates that are not in the image."""
PROMPTS = [prompt for prompt in golden_prompts.PROMPTS if prompt.name not in OUTSIDE_THE_API]


@dataclass(frozen=True)
class Case:
    """One prediction: a prompt per object."""

    name: str
    prompts: list[Prompt]
    multimask: bool


def prompt_of(golden: golden_prompts.Prompt, width: int, height: int) -> Prompt:
    """A golden prompt in pixels of an image of this size."""
    return Prompt(
        points=golden.points_in(width, height) if golden.points else None,
        labels=golden.labels() if golden.points else None,
        box=golden.box_in(width, height),
        mask_input=formula.mask_logits(MASK_SIZE) if golden.mask else None,
    )


def cases(pixels: np.ndarray) -> list[Case]:
    """Every prompt with one mask and with three, then all of them as objects of one call."""
    height, width, _ = pixels.shape
    each = {prompt.name: prompt_of(prompt, width, height) for prompt in PROMPTS}
    made = [
        Case(f"{name}, {'three masks' if multimask else 'one mask'}", [prompt], multimask)
        for name, prompt in each.items()
        for multimask in (False, True)
    ]
    made += [
        Case(f"{len(each)} objects, {'three masks' if multimask else 'one mask'}", list(each.values()), multimask)
        for multimask in (False, True)
    ]
    return made
