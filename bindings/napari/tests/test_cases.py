"""The cases that every language runs, in a process that has napari and Qt in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import PYTHON_TESTS

PROGRAM = PYTHON_TESTS / "shared_cases.py"


def test_the_shared_cases_give_masks_whose_hashes_are_handed_on():
    cases = Path(os.environ["SAM_MM_SHARED_CASES"])
    program = f"import napari, runpy, qtpy.QtWidgets; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, cases],
        capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stderr
    hashes = json.loads(done.stdout)
    assert list(hashes) == [case["name"] for case in json.loads(cases.read_text())["cases"]]
    if out := os.environ.get("SAM_MM_HASHES_OUT"):
        Path(out).write_text(json.dumps(hashes))
