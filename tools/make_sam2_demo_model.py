"""Makes `models/sam2_demo.safetensors`: SAM 2.1 in small, **with random weights**.

    python tools/make_sam2_demo_model.py models/sam2_demo.safetensors

It finds nothing in any picture. It is there so that what is particular to SAM 2, from the checkpoint to the object score, can
be run in tests without a download. Weights follow from the formula of `tools/goldens/formula.py`, so that the file can be made
again bit for bit; they are stored in half precision. Needs NumPy, safetensors and, for the architecture, `sam2` and PyTorch.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent / "goldens"))

import formula
from make_sam2_goldens import VIDEO_PARTS, small_model

SIDE = 256
"""As in the demo model of SAM. The stages are of 64, 32, 16 and 8 cells."""


def main(path: Path) -> None:
    metadata = {
        "image_size": str(SIDE), "num_heads": "1", "window_spec": "8,4,4,2", "global_att_blocks": "4",
        "made_by": "tools/make_sam2_demo_model.py", "weights": "random, by formula; of no use on pictures",
    }
    tensors = {}
    for name, tensor in small_model().state_dict().items():
        # One of the tensors that 2.1 added stays, which tells the version.
        if not name.startswith(VIDEO_PARTS):
            tensors[name] = formula.tensor(name, tuple(tensor.shape)).astype(np.float16)
    tensors["no_obj_embed_spatial"] = formula.tensor("no_obj_embed_spatial", (1, 32)).astype(np.float16)
    save_file(tensors, path, metadata=metadata)
    print(path, path.stat().st_size, sum(tensor.size for tensor in tensors.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
