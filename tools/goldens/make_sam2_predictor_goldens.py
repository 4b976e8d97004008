"""What the official `SAM2ImagePredictor` gives with `models/sam2_demo.safetensors`: `python make_sam2_predictor_goldens.py OUT.npz`.

The code it runs is that of bindings/python/tests/official_code.py, which the tests run on sam_mm.compat.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from sam2.sam2_image_predictor import SAM2ImagePredictor

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "bindings/python/tests")]

import drawn  # noqa: E402
import official_code  # noqa: E402
from make_sam2_goldens import VIDEO_PARTS, small_model  # noqa: E402


def predictor() -> SAM2ImagePredictor:
    model = small_model(256)
    weights = {
        name: value.float()
        for name, value in load_file(ROOT / "models/sam2_demo.safetensors").items()
        if not name.startswith(VIDEO_PARTS)
    }
    absent, unknown = model.load_state_dict(weights, strict=False)
    assert not unknown and all(name.startswith(VIDEO_PARTS) for name in absent), (absent, unknown)
    made = SAM2ImagePredictor(model)
    # There they are those of 1024 pixels, whatever the model.
    made._bb_feat_sizes = [(side, side) for side in (64, 32, 16)]
    return made


def main(out: str) -> None:
    with torch.no_grad():
        made = official_code.run_sam2(predictor(), drawn.scene())
    arrays = {}
    for name, parts in made.items():
        for part, values in zip(("masks", "scores", "logits"), parts):
            values = np.asarray(values)
            if part == "masks" and name != "logits at full size":
                values = np.packbits(values > 0, axis=-1)
            elif part == "masks":
                # Logits of full size are large; every fifth in each direction tells as much.
                values = values[:, ::5, ::5]
            half = values.dtype == np.float32 and part != "scores"
            arrays[f"{name}/{part}"] = values.astype(np.float16) if half else values
    arrays["versions"] = np.array([f"sam2 1.1.0, torch {torch.__version__}, numpy {np.__version__}"])
    np.savez_compressed(out, **arrays)
    print(out, Path(out).stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
