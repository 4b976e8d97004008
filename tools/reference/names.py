"""The models that can be compared. Without PyTorch, for processes that must not load it."""

import argparse

SAM = ("vit_b", "vit_l", "vit_h", "vit_t")
SAM_2 = tuple(
    f"{version}_hiera_{size}" for version in ("sam2", "sam2.1") for size in ("tiny", "small", "base_plus", "large")
)
"""As their checkpoint files are called."""
ALL = SAM + SAM_2


def parse(text: str, *more: str) -> list[str]:
    """Names out of `A,B`, of these models and `more`, for argparse."""
    names, known = [name.strip() for name in text.split(",") if name.strip()], (*more, *ALL)
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return names


def checkpoint(name: str) -> str:
    """The name of the model's file."""
    return f"{name}.pt" if name in SAM_2 else f"{name}.pth"
