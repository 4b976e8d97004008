"""The official PyTorch code, eager: `SamPredictor` of segment-anything, `SAM2ImagePredictor` of sam2."""

from pathlib import Path

import numpy as np
import torch
from reference import names


class Eager:
    def __init__(self, predictor):
        self.predictor = predictor

    def encode(self, pixels) -> None:
        self.predictor.set_image(pixels)

    def click(self, x: float, y: float):
        masks, _, _ = self.predictor.predict(np.array([[x, y]]), np.array([1]), multimask_output=True)
        return masks


def load(model_file: Path):
    """The predictor of a model. What it does not need is not imported: it would count as memory of this side."""
    if model_file.stem in names.SAM_2:
        from reference import segment_anything_2
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        return SAM2ImagePredictor(segment_anything_2.official(model_file.stem, model_file))
    from segment_anything import SamPredictor, sam_model_registry

    if model_file.stem != "vit_t":
        return SamPredictor(sam_model_registry[model_file.stem](str(model_file)).eval())
    from reference import mobile_sam

    sam = mobile_sam.build()
    state = torch.load(model_file, weights_only=True)
    sam.load_state_dict({name: state[mobile_sam.official_name(name)] for name in sam.state_dict()})
    return SamPredictor(sam)


def open(model_file: str, threads: int) -> Eager:
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return Eager(load(Path(model_file)))
