"""Our side, in a process of its own: `python -m everything.ours CHECKPOINT THREADS < asked > found` (pickles of our own).

A process that holds PyTorch holds its libtorch; this one holds only what sam-mm loads.
"""

import pickle
import subprocess
import sys

import numpy as np

from reference.sam_mm import SamMm

from .found import Found

OUR_NAMES = {"multimask_output": "multimask"}
"""Options that are called otherwise in the C API."""


def run(checkpoint: str, threads: int, asked: dict) -> dict[str, list[list[Found]]]:
    """What is found in every image with every one of its settings, from a new process."""
    command = [sys.executable, "-m", "everything.ours", checkpoint, str(threads)]
    made = subprocess.run(command, input=pickle.dumps(asked), stdout=subprocess.PIPE)
    if made.returncode:
        raise SystemExit(f"sam-mm failed on {checkpoint} (exit status {made.returncode})")
    return pickle.loads(made.stdout)


def everything(image, options: dict) -> list[Found]:
    options = {OUR_NAMES.get(name, name): value for name, value in options.items()}
    masks = image.everything(**options)
    made = [found(masks.mask_info(i), masks.bitmask(i)) for i in range(len(masks))]
    masks.free()
    return made


def found(info, mask: np.ndarray) -> Found:
    left, top, right, bottom = info.bounding_box
    crop_left, crop_top, crop_right, crop_bottom = info.crop_box
    return Found(
        mask=np.packbits(mask, axis=-1), area=info.area, box=(left, top, max(right - 1, 0), max(bottom - 1, 0)),
        predicted_iou=info.predicted_iou, stability=info.stability_score, point=tuple(info.point),
        crop=(crop_left, crop_top, crop_right - crop_left, crop_bottom - crop_top),
    )


def main(checkpoint: str, threads: int) -> None:
    asked = pickle.load(sys.stdin.buffer)
    sam, made = SamMm(checkpoint, threads), {}
    for name, (pixels, settings) in asked.items():
        image = sam.image(pixels)
        made[name] = [everything(image, setting.options) for setting in settings]
        image.free()
    sam.close()
    sys.stdout.buffer.write(pickle.dumps(made))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
