"""One measurement of one side, in a process of its own: `python -m bench.side SIDE MODEL_FILE THREADS CLICKS`.

A side is a module with `open(model_file, threads)`, which returns an object with `encode(pixels)` and `click(x, y)`. Encoding
takes RGB pixels and leaves an embedding behind; a click makes three masks of the image's size. `click_encodes` counts the
clicks that encoded the image again, where a side can tell. Prints one line of JSON.
"""

import importlib
import json
import os
import statistics
import sys
import time

import numpy as np


def measure(side, model_file: str, threads: int, clicks: int) -> dict:
    """Seconds and bytes of one fresh process.

    In the environment: `STARTED`, the time at which the
    process was started; `PIXELS`, the file of the image; `MASKS`, where the masks of the first click are to go.
    """
    started = float(os.environ["STARTED"])
    pixels = np.load(os.environ["PIXELS"])
    height, width, _ = pixels.shape
    model = side.open(model_file, threads)
    model.encode(pixels)
    after_encode = peak_rss()
    masks = model.click(0.5 * width, 0.5 * height)
    cold_start = time.time() - started
    keep(masks, pixels)
    pixels[0, 0, 0] ^= 1  # another image: a side that remembers an embedding must not profit here
    encode = seconds(lambda: model.encode(pixels))
    # Nor do two clicks agree.
    places = [(0.1 + 0.8 * (i * 0.618 % 1), 0.1 + 0.8 * (i * 0.414 % 1)) for i in range(1, clicks + 1)]
    click = statistics.median(seconds(lambda: model.click(x * width, y * height)) for x, y in places)
    return {
        "encode_s": encode, "click_s": click, "cold_start_s": cold_start, "encode_rss": after_encode, "rss": peak_rss(),
        "click_encodes": getattr(model, "click_encodes", 0),
    }


def seconds(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_rss() -> int:
    """Most bytes this process has held at once (its high-water mark of resident memory)."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def keep(masks, pixels: np.ndarray) -> None:
    """Leaves the first masks for the comparison of the sides: what is not the same need not be measured."""
    if len(masks) != 3 or any(mask.shape != pixels.shape[:2] for mask in masks):
        raise SystemExit(f"three masks of {pixels.shape[:2]} are due, got {[mask.shape for mask in masks]}")
    np.save(os.environ["MASKS"], np.stack(masks).astype(bool))


if __name__ == "__main__":
    name, file, threads, clicks = sys.argv[1:]
    print(json.dumps(measure(importlib.import_module(f"bench.{name}"), file, int(threads), int(clicks))))
