"""Goldens of SAM 2: the trunk's stages, the neck's levels and the masks of small models, and a SAM 2.1 tiny of full size.

Made by the official package (`sam2` 1.1.0, its image predictor), weights and image by formula:

    python tools/goldens/make_sam2_goldens.py plugins/torch/tests/golden

The weights of `sam2_small` are those of the formula times 1.15: of some prompts the single mask is stable, of others one of
multimask output takes its place. Those of `sam2_loud` are times 1.3: single masks are stable, and logits are cut at ±32. Those
of `sam2_quiet` are times 1/32, so that the ε of layer norms decides.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sam2.build_sam import build_sam2
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_image_predictor import SAM2ImagePredictor

import formula
import official
from prompts import PROMPTS

MADE_BY = "sam2 1.1.0"
SIDE, DIM, WIDTH = 96, 32, 16
STAGES, WINDOWS, GLOBAL = (1, 2, 3, 2), (8, 4, 4, 2), (4,)
"""Stages of 24, 12, 6 and 3 cells: windows of 4 do not divide 6, nor those of 2 the 3, and pooling meets padded ones."""
ORIGINAL = (300, 211)
VIDEO_PARTS = (
    "memory_attention.", "memory_encoder.", "mask_downsample.", "maskmem_tpos_enc", "no_mem_pos_enc",
    "no_obj_embed_spatial", "no_obj_ptr", "obj_ptr_proj.", "obj_ptr_tpos_proj.",
)
EMBEDDING_STEP = 997
"""Every 997th element of each level of the full-size model, counted in (C, H, W) order, is kept."""
LOGITS_STEP = 13
"""Every 13th row and column of its low-resolution logits is kept."""


def small_model(side: int = SIDE) -> SAM2Base:
    """The official architecture with few channels, as `build_sam2` sets it up for images of this side."""
    trunk = Hiera(
        embed_dim=WIDTH, num_heads=1, stages=STAGES, global_att_blocks=GLOBAL, window_spec=WINDOWS,
        window_pos_embed_bkg_spatial_size=(5, 5),
    )
    neck = FpnNeck(
        position_encoding=PositionEmbeddingSine(num_pos_feats=DIM), d_model=DIM,
        backbone_channel_list=trunk.channel_list, fpn_top_down_levels=[2, 3], fpn_interp_model="nearest",
    )
    return SAM2Base(
        image_encoder=ImageEncoder(trunk, neck, scalp=1), memory_attention=torch.nn.Identity(),
        memory_encoder=torch.nn.Identity(), image_size=side, backbone_stride=16, directly_add_no_mem_embed=True,
        use_high_res_features_in_sam=True, multimask_output_in_sam=True, iou_prediction_use_sigmoid=True,
        pred_obj_scores=True, pred_obj_scores_mlp=True,
        sam_mask_decoder_extra_args={
            "dynamic_multimask_via_stability": True, "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        },
    ).eval()


def fill(model, scale: float) -> dict[str, list[int]]:
    """Weights by formula times `scale`; names and shapes of those that images need."""
    formula.fill(model)
    model.load_state_dict({name: value * scale for name, value in model.state_dict().items()})
    model.eval()
    shapes = official.shapes(model)
    return {name: shape for name, shape in shapes.items() if not name.startswith(VIDEO_PARTS)}


class Run:
    """The official predictor on one image, with the object scores that it does not pass on."""

    def __init__(self, model, image: np.ndarray):
        self.predictor = SAM2ImagePredictor(model)
        grid = model.image_size // 16
        self.predictor._bb_feat_sizes = [(4 * grid,) * 2, (2 * grid,) * 2, (grid,) * 2]  # they are those of 1024 pixels
        self.side = 4 * grid
        self.original = image.shape[1], image.shape[0]
        self.decoder = model.sam_mask_decoder
        self.decoder.register_forward_hook(self._remember)
        self.stability = []
        scores = self.decoder._get_stability_scores
        self.decoder._get_stability_scores = lambda logits: self._remember_stability(scores(logits))
        self.predictor.set_image(image)

    def _remember(self, _module, _inputs, outputs):
        self.object_score = outputs[3][0]

    def _remember_stability(self, scores):
        self.stability.append(round(float(scores), 3))
        return scores

    def levels(self) -> dict:
        features = self.predictor._features
        s0, s1 = features["high_res_feats"]
        return {"embedding": features["image_embed"][0], "s0": s0[0], "s1": s1[0]}

    def decode(self, prompt) -> dict:
        """Logits (4, h, w) and scores (4): the single mask, then the three of multimask output; and the object score."""
        points = prompt.points_in(*self.original) if prompt.points else None
        arguments = {
            "point_coords": points, "point_labels": prompt.labels() if prompt.points else None,
            "box": prompt.box_in(*self.original),
            "mask_input": formula.mask_logits(self.side)[None] if prompt.mask else None,
        }
        parts = [self.predictor.predict(multimask_output=multimask, **arguments) for multimask in (False, True)]
        logits, scores = (np.concatenate([part[i] for part in parts]) for i in (2, 1))
        return {"logits": logits, "scores": scores, "object": self.object_score}


def prompted(run: Run, prefix: str = "", prompts=PROMPTS, step: int = 1) -> dict:
    made = {}
    for prompt in prompts:
        made |= {f"{prefix}{k}": v for k, v in official.prompt_tensors(prompt, run.original).items()}
        for part, value in run.decode(prompt).items():
            made[f"{prefix}{prompt.name}.{part}"] = value[:, ::step, ::step].copy() if part == "logits" else value
    return made


def main(out: Path) -> None:
    torch.set_grad_enabled(False)
    told = {
        "image_size": str(SIDE), "num_heads": "1", "window_spec": ",".join(map(str, WINDOWS)),
        "global_att_blocks": ",".join(map(str, GLOBAL)),
    }
    for name, scale in (("sam2_small", 1.15), ("sam2_loud", 1.3)):
        model = small_model()
        weights = fill(model, scale)
        run = Run(model, formula.image(*ORIGINAL))
        made = run.levels() | prompted(run)
        logits = np.concatenate([v.flatten() for k, v in made.items() if k.endswith("logits")])
        print(name, "logits:", logits.std(), "cut:", (np.abs(logits) == 32).mean(), "stability:", run.stability)
        print(name, "object scores:", [float(v) for k, v in made.items() if k.endswith("object")])
        official.save(made, weights, MADE_BY, out / f"{name}.safetensors", scale, told)

    for name, scale in (("sam2_stages", 1.0), ("sam2_quiet", 1 / 32)):
        model = small_model()
        weights = fill(model, scale)
        pixels = scale * torch.from_numpy(formula.uniform("pixels", 3 * SIDE * SIDE)).reshape(1, 3, SIDE, SIDE)
        trunk = model.image_encoder.trunk
        made = {f"stage{index}": x[0].permute(1, 2, 0) for index, x in enumerate(trunk(pixels))}
        if scale == 1:
            made["pos_embed"] = trunk._get_pos_embed((SIDE // 4,) * 2)[0]
        trunk_weights = {name: shape for name, shape in weights.items() if name.startswith("image_encoder.trunk.")}
        official.save(made, trunk_weights, MADE_BY, out / f"{name}.safetensors", scale)

    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu")
    weights = fill(model, 1.0)
    made = {}
    for name, original in {"wide": (1600, 1203), "tall": (333, 517)}.items():
        run = Run(model, formula.image(*original))
        levels = {f"{name}.{k}": v.flatten()[::EMBEDDING_STEP].clone() for k, v in run.levels().items()}
        prompts = PROMPTS if name == "wide" else PROMPTS[:1] + PROMPTS[4:6]
        made |= levels | {f"{name}.original": np.array(original, np.int32)}
        made |= prompted(run, f"{name}.", prompts, LOGITS_STEP)
    official.save(made, weights, MADE_BY, out / "sam2_tiny.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
