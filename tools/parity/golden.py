"""MobileSAM against outputs of its official code, which cannot be installed: `plugins/torch/tests/golden/`.

Weights and images follow from `tools/goldens/formula.py`; the file holds logits thinned to every 13th row and column.
"""

from pathlib import Path

import formula
import numpy as np
from safetensors.numpy import load_file

from .cases import PROMPTS, Case, cases
from .outcome import Difference, Outcome, worst

IMAGES = ("wide", "tall", "large")
LOGITS_STEP = 13


def images(file: Path) -> dict[str, np.ndarray]:
    """The images that the goldens were made on."""
    golden = load_file(file)
    return {f"golden {name}": formula.image(*golden[f"{name}.original"].tolist()) for name in IMAGES}


def differences(file: Path, ours: dict[str, list[Outcome]]) -> dict[str, Difference]:
    """Per image, the worst over the prompts that the file holds. Masks are not in it: their agreement is that of signs."""
    golden = load_file(file)
    scale = float(np.concatenate([v.ravel() for k, v in golden.items() if k.endswith(".logits")]).std())
    found = {}
    for name in IMAGES:
        every: list[Case] = cases(formula.image(*golden[f"{name}.original"].tolist()))
        by_name = {case.name: outcome for case, outcome in zip(every, ours[f"golden {name}"])}
        found[f"golden {name}"] = worst([
            compare(golden, f"{name}.{prompt.name}", by_name, prompt.name, scale)
            for prompt in PROMPTS
            if f"{name}.{prompt.name}.logits" in golden
        ])
    return found


def compare(golden, key: str, ours: dict[str, Outcome], prompt: str, scale: float) -> Difference:
    """The file has the single mask, then the three of multimask output."""
    parts = [ours[f"{prompt}, one mask"], ours[f"{prompt}, three masks"]]
    logits = np.concatenate([part.logits[:, ::LOGITS_STEP, ::LOGITS_STEP] for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    theirs = golden[f"{key}.logits"]
    union = int(((logits > 0) | (theirs > 0)).sum())
    return Difference(
        logits=float(np.abs(logits - theirs).max() / scale),
        scores=float(np.abs(scores - golden[f"{key}.scores"]).max()),
        mask_iou=int(((logits > 0) & (theirs > 0)).sum()) / union if union else 1.0,
    )
