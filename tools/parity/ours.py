"""Our side, in a process of its own: `python -m parity.ours CHECKPOINT THREADS < images > outcomes` (pickles of our own).

A process that holds PyTorch holds its libtorch; this one holds only what sam-mm loads.
"""

import pickle
import subprocess
import sys

import numpy as np

from reference.sam_mm import SamMm

from .cases import cases
from .outcome import Outcome


def run(checkpoint: str, threads: int, images: dict[str, np.ndarray]) -> dict[str, list[Outcome]]:
    """Outcomes of every case of every image, from a new process."""
    command = [sys.executable, "-m", "parity.ours", checkpoint, str(threads)]
    made = subprocess.run(command, input=pickle.dumps(images), stdout=subprocess.PIPE)
    if made.returncode:
        raise SystemExit(f"sam-mm failed on {checkpoint} (exit status {made.returncode})")
    return pickle.loads(made.stdout)


def predict(image, case) -> Outcome:
    result = image.predict(case.prompts, case.multimask)
    every = range(len(result))
    outcome = Outcome.of(
        np.stack([result.logits(i) for i in every]),
        [result.score(i) for i in every],
        np.stack([result.bitmask(i) for i in every]),
    )
    outcome.object_scores = result.object_scores()
    result.free()
    return outcome


def main(checkpoint: str, threads: int) -> None:
    images = pickle.load(sys.stdin.buffer)
    sam, outcomes = SamMm(checkpoint, threads), {}
    for name, pixels in images.items():
        image = sam.image(pixels)
        outcomes[name] = [predict(image, case) for case in cases(pixels)]
        image.free()
    sam.close()
    sys.stdout.buffer.write(pickle.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
