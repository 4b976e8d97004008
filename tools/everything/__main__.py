"""`python -m everything --models demo,vit_t`; started by `cargo xtask parity --everything`, which installs what it needs."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from reference import demo, models, names, photographs

from . import official, ours, settings
from .comparison import LIMITS, Comparison, compare

SCENES_SEED = 7


def main() -> int:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    side = arguments.points_per_side
    print(f"PyTorch {torch.__version__}, {arguments.threads} threads, {side}x{side} points; masks as of the official generators")
    report = {name: compare_model(name, arguments) for name in arguments.models}
    passed = all(model["passed"] for model in report.values())
    print()
    print(json.dumps({"passed": passed, "limits": LIMITS, "models": report}))
    return 0 if passed else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", type=lambda text: names.parse(text, demo.NAME), required=True,
        help=f"of {demo.NAME}, {', '.join(names.ALL)}",
    )
    parser.add_argument("--points-per-side", type=int, default=8)
    parser.add_argument("--image", action="append", default=[], help="look at this picture (repeatable) instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path, required=True, help="folder for the random checkpoints")
    parser.add_argument("--demo", type=Path, required=True, help="the demo model's file")
    return parser.parse_args()


def compare_model(name: str, arguments: argparse.Namespace) -> dict:
    """Both sides on all images with all settings, one after the other, so that only one model is in memory at a time."""
    print(f"\n{name}")
    started = time.monotonic()
    if name == demo.NAME:
        model, checkpoint = demo.load(arguments.demo), arguments.demo
    else:
        model, checkpoint = models.build(name), arguments.weights / names.checkpoint(name)
        models.save(name, model, checkpoint)
    asked, theirs = {}, {}
    for image, pixels in images_for(name, arguments.image).items():
        asked[image] = (pixels, chosen_settings(name, model, pixels, arguments.points_per_side))
        theirs[image] = [official.generate(model, pixels, setting.options) for setting in asked[image][1]]
        progress(f"official: {image}, {time.monotonic() - started:.0f} s")
    del model
    made = ours.run(str(checkpoint), arguments.threads, asked)
    progress(f"sam-mm: {len(asked)} images, {time.monotonic() - started:.0f} s")
    if name != demo.NAME:
        checkpoint.unlink()
    rows = {
        (image, setting.name): compare(a, b)
        for image, (_, every) in asked.items()
        for setting, a, b in zip(every, made[image], theirs[image], strict=True)
    }
    table(rows)
    # A comparison of nothing would pass.
    passed = all(row.within_limits for row in rows.values()) and any(row.official > 1 for row in rows.values())
    return {"passed": passed, "comparisons": [{"image": i, "setting": s, **asdict(row)} for (i, s), row in rows.items()]}


def images_for(name: str, paths: list[str]) -> dict:
    if paths:
        return {f"{i + 1}: {Path(path).name}": photographs.load(path) for i, path in enumerate(paths)}
    if name == demo.NAME:
        return {f"scene {i + 1}": scene for i, scene in enumerate(demo.drawn_scenes(SCENES_SEED, 3))}
    return photographs.small()


def chosen_settings(name: str, model, pixels, points_per_side: int) -> list[settings.Setting]:
    if name == demo.NAME:
        return settings.of_the_demo(points_per_side)
    survey = official.generate(model, pixels, settings.without_thresholds(points_per_side))
    return settings.of_random_weights(points_per_side, survey, name in names.SAM_2)


def table(rows: dict[tuple[str, str], Comparison]) -> None:
    image_width = max(len(image) for image, _ in rows)
    setting_width = max(len(setting) for _, setting in rows)
    print(
        f"  {'image':{image_width}}  {'setting':{setting_width}}  official  ours  same  {'mask IoU':>8}  {'scores':>8}  "
        f"{'stability':>9}  order"
    )
    for (image, setting), row in rows.items():
        order = "same" if not row.out_of_order else f"{row.out_of_order} differ"
        elsewhere = f"  {row.elsewhere} of other points" if row.elsewhere else ""
        beyond = "" if row.within_limits else "  beyond the limits"
        print(
            f"  {image:{image_width}}  {setting:{setting_width}}  {row.official:8}  {row.ours:4}  {row.matched:4}  "
            f"{row.mask_iou:8.6f}  {row.predicted_iou:8.1e}  {row.stability:9.1e}  {order}{elsewhere}{beyond}"
        )


def progress(message: str) -> None:
    print(f"  … {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
