"""The cases that every language runs; whoever started the tests compares the hashes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conftest import ROOT

CASES = Path(
    os.environ.get("SAM_MM_CASES") or os.environ.get("SAM_MM_SHARED_CASES") or ROOT / "tests/bindings/cases.json"
)

#: In a process of its own: the number of threads counts for a whole process, and may change a last bit.
RUN = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
import sam_mm

path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path({path!r})
cases = json.loads(path.read_text())

def ppm(path):
    magic, size, depth, pixels = path.read_bytes().split(b"\\n", 3)
    assert (magic, depth) == (b"P6", b"255")
    width, height = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)

with sam_mm.Context("cpu", num_threads=1) as context:
    model, image, results, hashes = context.load_model(), context.image(ppm(path.parent / cases["image"])), {{}}, {{}}
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
"""


@pytest.fixture(scope="module")
def hashes(child) -> dict[str, str]:
    return json.loads(child.ok(RUN.format(path=str(CASES))))


def test_the_shared_cases_give_masks_whose_hashes_are_handed_on(hashes):
    names = [case["name"] for case in json.loads(CASES.read_text())["cases"]]
    assert list(hashes) == names and len(set(hashes.values())) == len(names)
    if out := os.environ.get("SAM_MM_HASHES_OUT"):
        Path(out).write_text(json.dumps(hashes))


def test_the_same_cases_give_the_same_masks_again(hashes, child):
    assert json.loads(child.ok(RUN.format(path=str(CASES)))) == hashes
