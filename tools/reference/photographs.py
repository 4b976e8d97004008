"""Photographs to compare on: those that come with scikit-image, which are in the public domain, or a caller's own."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image


def packaged(name: str) -> Image.Image:
    """A photograph of the scikit-image package; the package itself need not be importable."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the photographs of scikit-image are missing; run through `cargo xtask`, which installs them")
    return Image.open(Path(spec.submodule_search_locations[0]) / "data" / name).convert("RGB")


def pixels(image: Image.Image) -> np.ndarray:
    """uint8 (height, width, 3), writable, as PyTorch wants arrays."""
    return np.array(image)


def load(path: str) -> np.ndarray:
    return pixels(Image.open(path).convert("RGB"))


def large() -> np.ndarray:
    """A photograph of 1800 by 1200 pixels, a size of cameras and of the benchmarks."""
    return pixels(packaged("coffee.png").resize((1800, 1200), Image.Resampling.LANCZOS))


def small() -> dict[str, np.ndarray]:
    """One wider and one higher than the other; few pixels, for what is done with hundreds of masks."""
    chelsea, astronaut = packaged("chelsea.png"), packaged("astronaut.png")
    return {
        "chelsea 301x200": pixels(chelsea.resize((301, 200), Image.Resampling.LANCZOS)),
        "astronaut 150x231": pixels(astronaut.crop((100, 20, 250, 251))),
    }


def photographs_and_odd_sizes() -> dict[str, np.ndarray]:
    """Photographs that are enlarged, shrunk and taken as they are; then sizes that break careless code."""
    astronaut, chelsea, coffee = map(packaged, ("astronaut.png", "chelsea.png", "coffee.png"))
    return {
        "chelsea 451x300": pixels(chelsea),
        "coffee 1800x1200": large(),
        "astronaut 683x1024": pixels(astronaut.resize((1024, 1024), Image.Resampling.LANCZOS).crop((170, 0, 853, 1024))),
        "coffee 333x77": pixels(coffee.crop((120, 150, 453, 227))),
        "coffee 1x700": pixels(coffee.resize((600, 700)).crop((300, 0, 301, 700))),
        "astronaut 1x1": pixels(astronaut.crop((200, 100, 201, 101))),
    }
