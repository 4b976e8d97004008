"""`python -m bench --models vit_b,vit_t`; started by `cargo xtask bench`, which installs what it needs."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from reference import names, photographs

TINY = "sam2.1_hiera_tiny"
SIDES = {"ours": "sam-mm", "eager": "PyTorch eager", "onnxruntime_side": "ONNX Runtime"}


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder) / "pixels.npy"
        np.save(pixels, photographs.large())
        describe(arguments)
        medians = {name: compare(name, pixels, arguments) for name in arguments.models}
    print()
    print(json.dumps({"ratios": ratios(medians), "models": medians}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=names.parse, required=True, help="of " + ", ".join(names.ALL))
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes per side")
    parser.add_argument("--clicks", type=int, default=15, help="clicks per process")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True, help="where models are exported to")
    return parser.parse_args()


def sides_of(name: str) -> list[str]:
    """SAM 2 has no official export to ONNX."""
    return [side for side in SIDES if side != "onnxruntime_side" or name in names.SAM]


def describe(arguments: argparse.Namespace) -> None:
    print(
        f"fp32, {arguments.threads} threads, image 1800x1200, random weights in the official layout. PyTorch "
        f"{version('torch')}, segment-anything {version('segment-anything')}, sam2 {version('sam2')}, ONNX Runtime "
        f"{version('onnxruntime')}.\n"
        f"Each figure is the median of {arguments.rounds} fresh processes that take turns; files are in the page cache."
    )
    if "vit_t" in arguments.models:
        print(
            f"vit_t eager: the official MobileSAM code cannot be installed; its place takes timm {version('timm')}'s TinyViT "
            "with MobileSAM's\nchanges, whose outputs are the same (tools/reference/mobile_sam.py)."
        )


def compare(name: str, pixels: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians per side."""
    progress(f"{name}: exporting")
    run(["-m", "bench.export", name, str(arguments.folder)], arguments.threads)
    model_file = arguments.folder / names.checkpoint(name)
    for file in arguments.folder.glob(f"{name}.*"):
        read_through(file)
    rounds = {side: [] for side in sides_of(name)}
    for index in range(arguments.rounds):
        for side, measured in rounds.items():
            progress(f"{name}: round {index + 1} of {arguments.rounds}, {SIDES[side]}")
            command = ["-m", "bench.side", side, str(model_file), str(arguments.threads), str(arguments.clicks)]
            environment = {
                "STARTED": repr(time.time()), "PIXELS": str(pixels), "MASKS": str(pixels.with_name(f"{side}.npy")),
            }
            measured.append(json.loads(run(command, arguments.threads, environment).splitlines()[-1]))
    check_agreement(name, {side: np.load(pixels.with_name(f"{side}.npy")) for side in rounds})
    for file in arguments.folder.glob(f"{name}.*"):
        file.unlink()
    medians = {
        side: {key: summary(key, [m[key] for m in measured]) for key in measured[0]} for side, measured in rounds.items()
    }
    table(name, medians)
    return medians


def summary(key: str, values: list[float]) -> float:
    """The median; of encodes that were not due, the most."""
    return max(values) if key == "click_encodes" else statistics.median(values)


def run(arguments: list[str], threads: int, environment: dict[str, str] | None = None) -> str:
    limits = {key: str(threads) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    made = subprocess.run(
        [sys.executable, *arguments], env=os.environ | limits | (environment or {}), stdout=subprocess.PIPE, text=True
    )
    if made.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit status {made.returncode}")
    return made.stdout


def read_through(file: Path) -> None:
    """Brings a file into the page cache, so that no side pays for the disk."""
    with open(file, "rb") as stream:
        while stream.read(1 << 24):
            pass


def check_agreement(name: str, masks: dict[str, np.ndarray]) -> None:
    """A comparison of speed means something only when all sides make the same masks."""
    for side, other in masks.items():
        union = (masks["ours"] | other).sum()
        iou = (masks["ours"] & other).sum() / union if union else 1.0
        if iou < 0.99:
            raise SystemExit(f"{name}: the first masks of {SIDES[side]} and sam-mm have an IoU of only {iou:.4f}")


def table(name: str, medians: dict[str, dict[str, float]]) -> None:
    rows = {
        "encode": ("encode_s", lambda s: f"{s:.2f} s"),
        "one click, 3 masks": ("click_s", lambda s: f"{1000 * s:.1f} ms"),
        "start to first mask": ("cold_start_s", lambda s: f"{s:.2f} s"),
        "peak RSS of encoding": ("encode_rss", lambda b: f"{b / 2**20:.0f} MiB"),
        "peak RSS of all": ("rss", lambda b: f"{b / 2**20:.0f} MiB"),
    }
    others = {"eager": "/ eager", "onnxruntime_side": "/ ORT"}
    print(
        f"\n{name:22}" + "".join(f"{SIDES[side]:>16}" for side in medians)
        + "".join(f"{others[side]:>10}" for side in medians if side in others)
    )
    for title, (key, text) in rows.items():
        ours = medians["ours"][key]
        print(
            f"{title:22}" + "".join(f"{text(of_side[key]):>16}" for of_side in medians.values())
            + "".join(f"{ours / medians[side][key]:>10.2f}" for side in medians if side in others),
            flush=True,
        )
    print(f"{'clicks that encoded':22}{medians['ours']['click_encodes']:>16}", flush=True)


def ratios(medians: dict[str, dict[str, dict[str, float]]]) -> dict[str, float | None]:
    """Ours over theirs; of clicks and memory for the first SAM measured, ViT-B unless left out. None: not measured.

    The last one is no ratio: how many of the clicks on an image that is encoded already encoded it again.
    """

    def ratio(model: str | None, key: str, other: str) -> float | None:
        if model not in medians:
            return None
        return round(medians[model]["ours"][key] / medians[model][other][key], 4)

    of_sam = [name for name in medians if name in names.SAM]
    first = "vit_b" if "vit_b" in of_sam else next(iter(of_sam), None)
    return {
        "vit_b_encode_vs_eager": ratio("vit_b", "encode_s", "eager"),
        "vit_b_encode_vs_ort": ratio("vit_b", "encode_s", "onnxruntime_side"),
        "vit_t_encode_vs_eager": ratio("vit_t", "encode_s", "eager"),
        "vit_t_encode_vs_ort": ratio("vit_t", "encode_s", "onnxruntime_side"),
        "click_vs_eager": ratio(first, "click_s", "eager"),
        "click_vs_ort": ratio(first, "click_s", "onnxruntime_side"),
        "peak_rss_vs_eager": ratio(first, "encode_rss", "eager"),
        "sam2.1_tiny_encode_vs_official": ratio(TINY, "encode_s", "eager"),
        "sam2.1_tiny_click_vs_official": ratio(TINY, "click_s", "eager"),
        "sam2.1_tiny_second_click_encodes": medians[TINY]["ours"]["click_encodes"] if TINY in medians else None,
    }


def progress(message: str) -> None:
    print(f"  … {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
