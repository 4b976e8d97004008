"""Types hold under mypy --strict, in the package and for its users."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conftest import ROOT

USER = """
import numpy as np
import sam_mm

with sam_mm.Context("cpu") as context:
    model: sam_mm.Model = context.load_model()
    result = model.predict(context.image(np.zeros((4, 4, 3), np.uint8)), points=[(1, 2)], labels=[1])
    area: int = result.best().area
    used: int | None = context.memory_info().used
"""


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "bindings/python")


def test_the_package_is_clean():
    done = mypy("src")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("change", "words"), [(("", ""), None), (("area: int", "area: str"), "Incompatible types"), (("[(1, 2)]", "object()"), "arg-type")])
def test_users_see_the_types(tmp_path, change, words):
    (tmp_path / "user.py").write_text(USER.replace(*change))
    done = mypy(str(tmp_path / "user.py"))
    if words is None:
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        assert done.returncode == 1 and words in done.stdout
