"""The official PyTorch code, eager: `SamPredictor` of segment-anything."""

from pathlib import Path

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry


class Eager:
    def __init__(self, model_file: str):
        self.predictor = SamPredictor(load(Path(model_file)))

    def encode(self, pixels) -> None:
        self.predictor.set_image(pixels)

    def click(self, x: float, y: float):
        masks, _, _ = self.predictor.predict(np.array([[x, y]]), np.array([1]), multimask_output=True)
        return masks


def load(model_file: Path):
    if model_file.stem != "vit_t":
        return sam_model_registry[model_file.stem](str(model_file)).eval()
    from reference import mobile_sam

    sam = mobile_sam.build()
    state = torch.load(model_file, weights_only=True)
    sam.load_state_dict({name: state[mobile_sam.official_name(name)] for name in sam.state_dict()})
    return sam


def open(model_file: str, threads: int) -> Eager:
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return Eager(model_file)
