"""The library, its real backend with the demo model, and the fake backend that fails on command."""

from __future__ import annotations

import ctypes as ct
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import drawn
import sam_mm

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def context() -> Iterator[sam_mm.Context]:
    with sam_mm.Context("cpu", num_threads=2) as made:
        yield made


@pytest.fixture(scope="session")
def demo(context: sam_mm.Context) -> sam_mm.Model:
    return context.load_model()


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    return drawn.scene()


@pytest.fixture
def image(context: sam_mm.Context, scene: np.ndarray) -> sam_mm.Image:
    return context.image(scene)


class Fake:
    """A copy of the fake backend (tests/fake_backend), with a script of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = ct.CDLL(str(path))
        self._library.fake_backend_value.restype = ct.c_int64

    def do(self, command: str) -> None:
        assert self._library.fake_backend_control(command.encode()) == 0, command

    def value(self, name: str) -> int:
        return int(self._library.fake_backend_value(name.encode()))

    def context(self, **options) -> sam_mm.Context:
        return sam_mm.Context(**{"device": "cpu", "backend_path": self.path, **options})


def compiled(*defines: str) -> Path:
    """A variant of the fake backend, as its README describes them."""
    folder = Path(tempfile.mkdtemp(prefix="sam-mm-fake-"))
    out = folder / "libsam_mm_fake.so"
    sources = sorted(map(str, (ROOT / "tests/fake_backend").glob("*.c")))
    command = ["cc", "-std=c99", "-shared", "-fPIC", "-pthread", "-D_POSIX_C_SOURCE=200809L", f"-I{ROOT / 'include'}"]
    subprocess.run([*command, *(f"-D{define}" for define in defines), *sources, "-lm", "-o", str(out)], check=True)
    return out


@pytest.fixture(scope="session")
def fake_file() -> Path:
    named = os.environ.get("SAM_MM_FAKE_BACKEND")
    return Path(named) if named else compiled()


@pytest.fixture
def fake(fake_file: Path, tmp_path: Path) -> Fake:
    """A fake backend of the test's own: every file has a state of its own."""
    path = tmp_path / "libsam_mm_fake.so"
    shutil.copy(fake_file, path)
    return Fake(path)


@pytest.fixture
def gray() -> np.ndarray:
    """A small picture, brighter to the right."""
    return np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))


class Child:
    """Runs Python text in a process of its own."""

    def __init__(self, *path: Path) -> None:
        self.path = path

    def __call__(self, text: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        before = (Path(__file__).parent, Path(sam_mm.__file__).parents[1], *self.path)
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([*map(str, before), *([inherited] if inherited else [])])
        for name, value in variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return subprocess.run(
            [sys.executable, "-X", "dev", "-W", "ignore", "-c", textwrap.dedent(text)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
        )

    def ok(self, text: str, **variables: str | None) -> str:
        """What it prints, when it ends with 0 and says nothing on the side."""
        done = self(text, **variables)
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def child() -> Child:
    return Child()
