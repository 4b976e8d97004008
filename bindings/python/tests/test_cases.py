"""The cases that every language runs; whoever started the tests compares the hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

CASES = Path(os.environ.get("SAM_MM_SHARED_CASES") or ROOT / "tests/bindings/cases.json")

PROGRAM = Path(__file__).parent / "shared_cases.py"


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    return run()


def run() -> dict[str, str]:
    done = subprocess.run([sys.executable, PROGRAM, CASES], stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


def test_the_shared_cases_give_masks_whose_hashes_are_handed_on(hashes):
    names = [case["name"] for case in json.loads(CASES.read_text())["cases"]]
    assert list(hashes) == names and len(set(hashes.values())) == len(names)
    if out := os.environ.get("SAM_MM_HASHES_OUT"):
        Path(out).write_text(json.dumps(hashes))


def test_the_same_cases_give_the_same_masks_again(hashes):
    assert run() == hashes
