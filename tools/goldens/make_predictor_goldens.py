"""What the official `SamPredictor` and `SamAutomaticMaskGenerator` give with the demo model: `python make_predictor_goldens.py OUT.npz`.

The code it runs is that of bindings/python/tests/official_code.py, which the tests run on sam_mm.compat.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/train_demo_model"), str(ROOT / "bindings/python/tests")]

import drawn  # noqa: E402
import official_code  # noqa: E402
from model import load  # noqa: E402


def main(out: str) -> None:
    sam = load(str(ROOT / "models/sam_demo.safetensors")).eval()
    image = drawn.scene()
    with torch.no_grad():
        made = official_code.run(SamPredictor, sam, image)
        found = official_code.everything(SamAutomaticMaskGenerator, sam, image)
        made |= official_code.run_batched(SamPredictor, sam, image, torch.tensor)
    arrays = {}
    for name, parts in made.items():
        for part, values in zip(("masks", "scores", "logits"), parts):
            values = np.asarray(values)
            # Logits of full size are large; every fifth in each direction tells as much.
            if name == "logits at full size" and part == "masks":
                values = values[:, ::5, ::5]
            half = values.dtype == np.float32 and values.ndim > 2
            arrays[f"{name}/{part}"] = values.astype(np.float16) if half else values
    arrays["everything:masks"] = np.packbits(np.stack([mask["segmentation"] for mask in found]), axis=-1)
    for name in ("area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"):
        arrays[f"everything:{name}"] = np.array([mask[name] for mask in found])
    arrays["versions"] = np.array([f"segment-anything 1.0, torch {torch.__version__}, numpy {np.__version__}"])
    np.savez_compressed(out, **arrays)
    print(out, Path(out).stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
