"""Makes the masks of the shared cases and prints their hashes: `python shared_cases.py CASES.json`.

In a process of its own: the number of threads counts for a whole process, and may change a last bit.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import sam_mm

path = Path(sys.argv[1])
cases = json.loads(path.read_text())

def ppm(path):
    magic, size, depth, pixels = path.read_bytes().split(b"\n", 3)
    assert (magic, depth) == (b"P6", b"255")
    width, height = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)

with sam_mm.Context("cpu", num_threads=1) as context:
    model, image, results, hashes = context.load_model(), context.image(ppm(path.parent / cases["image"])), {}, {}
    for case in cases["cases"]:
        prompts = [
            sam_mm.Prompt(
                prompt.get("points"), prompt.get("labels"), prompt.get("box"),
                results[prompt["mask_of"]].best(0).logits if "mask_of" in prompt else None,
            )
            for prompt in case["prompts"]
        ]
        boxes = case["boxes"] or None
        result = results[case["name"]] = model.predict_many(image, prompts, boxes, multimask=case["multimask"])
        best = [result.best(index) for index in range(result.num_objects)]
        hashes[case["name"]] = hashlib.sha256(b"".join(mask.array.tobytes() for mask in best)).hexdigest()
print(json.dumps(hashes))
