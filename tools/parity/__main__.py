"""`python -m parity --models vit_b,vit_t`; started by `cargo xtask parity`, which installs what it needs."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from reference import models, photographs

from . import golden, official, ours
from .cases import cases
from .outcome import LIMITS, Difference, difference, worst


def main() -> int:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    images = chosen_images(arguments.image)
    print(f"PyTorch {torch.__version__}, {arguments.threads} threads, {len(images)} images; logits at unit scale")
    report = {name: compare_model(name, images, arguments) for name in arguments.models}
    passed = all(model["passed"] for model in report.values())
    print()
    print(json.dumps({"passed": passed, "limits": LIMITS, "models": report}))
    return 0 if passed else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=model_names, default=["vit_b", "vit_t"], help="of " + ", ".join(models.NAMES))
    parser.add_argument("--image", action="append", default=[], help="compare on this picture (repeatable) instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path, required=True, help="folder for the random checkpoints")
    parser.add_argument("--golden", type=Path, required=True, help="outputs of the official MobileSAM")
    return parser.parse_args()


def model_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in models.NAMES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(models.NAMES)}")
    return names


def chosen_images(paths: list[str]) -> dict:
    if not paths:
        return photographs.photographs_and_odd_sizes()
    return {f"{i + 1}: {Path(path).name}": photographs.load(path) for i, path in enumerate(paths)}


def compare_model(name: str, images: dict, arguments: argparse.Namespace) -> dict:
    """Both sides on all images, one after the other, so that only one model is in memory at a time."""
    print(f"\n{name}")
    checkpoint = arguments.weights / f"{name}.pth"
    started = time.monotonic()
    sam = models.build(name)
    models.save(name, sam, checkpoint)
    progress(f"random weights in {checkpoint.name}, {time.monotonic() - started:.0f} s")
    theirs = official.run(sam, images, lambda image: progress(f"official: {image}, {time.monotonic() - started:.0f} s"))
    del sam
    goldens = golden.images(arguments.golden) if name == "vit_t" else {}
    made = ours.run(str(checkpoint), arguments.threads, images | goldens)
    progress(f"sam-mm: {len(images | goldens)} images, {time.monotonic() - started:.0f} s")
    checkpoint.unlink()

    scale = official.deviation(theirs)
    rows = {
        (image, case.name): difference(a, b, scale)
        for image, pixels in images.items()
        for case, a, b in zip(cases(pixels), made[image], theirs[image], strict=True)
    }
    if goldens:
        rows |= {(image, "prompts of the official code"): d for image, d in golden.differences(arguments.golden, made).items()}
    table(rows)
    overall = worst(list(rows.values()))
    passed = all(row.within_limits for row in rows.values())
    print(f"  worst of {len(rows)} comparisons: {text(overall)}; logits had standard deviation {scale:.3g}")
    return {"passed": passed, "cases": len(rows), "logits_std": scale, **asdict(overall)}


def table(rows: dict[tuple[str, str], Difference]) -> None:
    image_width = max(len(image) for image, _ in rows)
    case_width = max(len(case) for _, case in rows)
    print(f"  {'image':{image_width}}  {'prompt':{case_width}}  {'logits':>8}  {'scores':>8}  {'mask IoU':>8}")
    for (image, case), row in rows.items():
        beyond = "" if row.within_limits else "  beyond the limits"
        print(f"  {image:{image_width}}  {case:{case_width}}  {text(row)}{beyond}")


def text(row: Difference) -> str:
    return f"{row.logits:8.1e}  {row.scores:8.1e}  {row.mask_iou:8.6f}"


def progress(message: str) -> None:
    print(f"  … {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
