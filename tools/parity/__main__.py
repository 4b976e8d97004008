"""`python -m parity --models vit_b,vit_t`; started by `cargo xtask parity`, which installs what it needs."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from reference import models, names, photographs

from . import golden, official, ours
from .cases import cases
from .outcome import LIMITS, Choice, Difference, difference, worst


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
    parser.add_argument("--models", type=names.parse, required=True, help="of " + ", ".join(names.ALL))
    parser.add_argument("--image", action="append", default=[], help="compare on this picture (repeatable) instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path, required=True, help="folder for the random checkpoints")
    parser.add_argument("--golden", type=Path, required=True, help="outputs of the official MobileSAM")
    return parser.parse_args()


def chosen_images(paths: list[str]) -> dict:
    if not paths:
        return photographs.photographs_and_odd_sizes()
    return {f"{i + 1}: {Path(path).name}": photographs.load(path) for i, path in enumerate(paths)}


def compare_model(name: str, images: dict, arguments: argparse.Namespace) -> dict:
    """Both sides on all images, one after the other, so that only one model is in memory at a time."""
    print(f"\n{name}")
    checkpoint = arguments.weights / names.checkpoint(name)
    started = time.monotonic()
    model = models.build(name)
    models.save(name, model, checkpoint)
    progress(f"random weights in {checkpoint.name}, {time.monotonic() - started:.0f} s")
    theirs = official.run(model, images, lambda image: progress(f"official: {image}, {time.monotonic() - started:.0f} s"))
    del model
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
    compared = [row for row in rows.values() if row is not None]
    overall = worst(compared)
    passed = bool(compared) and all(row.within_limits for row in compared)
    print(f"  worst of {len(compared)} comparisons: {text(overall)}; logits had standard deviation {scale:.3g} or more")
    report = {"passed": passed, "cases": len(compared), "logits_std": scale, **asdict(overall)}
    choices = [choice for outcomes in theirs.values() for outcome in outcomes for choice in outcome.choices]
    return report | choice_report(choices) if choices else report


def choice_report(choices: list[Choice]) -> dict:
    """How often single masks were replaced: a comparison in which all or none were proves less."""
    counts = {
        "stable_masks": sum(choice.stable for choice in choices),
        "replaced_masks": sum(not choice.stable for choice in choices),
        "too_close_masks": sum(choice.too_close for choice in choices),
    }
    print(
        f"  of {len(choices)} single masks {counts['stable_masks']} were stable and {counts['replaced_masks']} replaced by the "
        f"best of three; {counts['too_close_masks']} were too close to the threshold to be compared"
    )
    return counts


def table(rows: dict[tuple[str, str], Difference | None]) -> None:
    image_width = max(len(image) for image, _ in rows)
    case_width = max(len(case) for _, case in rows)
    print(f"  {'image':{image_width}}  {'prompt':{case_width}}  {'logits':>8}  {'scores':>8}  {'mask IoU':>8}  object scores")
    for (image, case), row in rows.items():
        beyond = "" if row is None or row.within_limits else "  beyond the limits"
        print(f"  {image:{image_width}}  {case:{case_width}}  {text(row)}{beyond}")


def text(row: Difference | None) -> str:
    if row is None:
        return "too close a choice between masks"
    object_scores = "" if row.object_scores is None else f"  {row.object_scores:8.1e}"
    return f"{row.logits:8.1e}  {row.scores:8.1e}  {row.mask_iou:8.6f}{object_scores}"


def progress(message: str) -> None:
    print(f"  … {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
