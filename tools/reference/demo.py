"""The demo model with the weights that it was trained to, on the official code, and the scenes that it knows."""

import sys
from pathlib import Path

import numpy as np
from segment_anything.modeling import Sam

# At the end: the folder also has a module `prompts`, and so do the goldens.
sys.path.append(str(Path(__file__).parents[1] / "train_demo_model"))
import model as demo  # noqa: E402
import scenes  # noqa: E402

NAME = "demo"


def load(file: Path) -> Sam:
    return demo.load(str(file)).eval()


def drawn_scenes(seed: int, count: int) -> list[np.ndarray]:
    """RGB uint8 (256, 256, 3)."""
    random = np.random.default_rng(seed)
    return [np.ascontiguousarray(scenes.scene_with_objects(random)[0]) for _ in range(count)]
