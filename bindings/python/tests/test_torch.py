"""One libtorch in a process: the one that Python's own `torch` uses."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from conftest import compiled

HAS_TORCH = importlib.util.find_spec("torch") is not None

PREDICT = """
def predict():
    import drawn, sam_mm
    context = sam_mm.Context("cpu")
    result = context.load_model().predict(context.image(drawn.scene()), box=drawn.DISC_BOX, multimask=False)
    assert drawn.iou(result[0].array, drawn.disc()) > 0.8
    loaded = {line.split()[-1] for line in open("/proc/self/maps") if "libtorch_cpu" in line}
    print(*loaded)
"""


@pytest.fixture
def pretended(tmp_path) -> Path:
    """A package `torch` whose library does nothing, of version 1.0.0."""
    package = tmp_path / "site" / "torch"
    (package / "lib").mkdir(parents=True)
    source = tmp_path / "torch.c"
    source.write_text("int sam_mm_test_torch(void) { return 7; }\n")
    library = package / "lib" / "libtorch_cpu.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wl,-soname,libtorch_cpu.so", str(source), "-o", str(library)], check=True
    )
    (package / "version.py").write_text("__version__ = '1.0.0'\n")
    (package / "__init__.py").write_text("import ctypes, pathlib\nctypes.CDLL(pathlib.Path(__file__).parent / 'lib/libtorch_cpu.so')\n")
    return package.parent


def test_the_package_torch_is_found_without_importing_it(child, pretended):
    child.path = (pretended,)
    told = child.ok(
        """
        import os, sys, sam_mm
        sam_mm.Context()
        print(os.environ["SAM_MM_LIBTORCH"], "torch" in sys.modules)
        """,
        SAM_MM_LIBTORCH=None,
    )
    child.path = ()
    assert told.split() == [str(pretended / "torch"), "False"]


def test_a_folder_that_the_user_named_stays(child, pretended):
    child.path = (pretended,)
    told = child.ok("import os, sam_mm; sam_mm.Context(); print(os.environ['SAM_MM_LIBTORCH'])", SAM_MM_LIBTORCH="/mine")
    child.path = ()
    assert told.strip() == "/mine"


def test_another_version_that_is_imported_is_refused_in_words(child, pretended):
    plugin = compiled('FAKE_REQUIRES="libtorch=2.11.0"')
    child.path = (pretended,)
    told = child.ok(
        f"""
        import torch, sam_mm
        try:
            sam_mm.Context("cpu", backend_path={str(plugin)!r}).load_model(b"fake-model")
        except sam_mm.ConflictError as error:
            print(error)
        """,
        SAM_MM_LIBTORCH=None,
    )
    child.path = ()
    for words in ("libtorch 2.11.0", "libtorch 1.0.0", "process of its own", str(pretended)):
        assert words in told


def test_another_version_that_is_only_installed_is_refused_in_words(child, pretended):
    plugin = compiled('FAKE_REQUIRES="libtorch=2.11.0"')
    child.path = (pretended,)
    told = child.ok(
        f"""
        import sam_mm
        try:
            sam_mm.Context("cpu", backend_path={str(plugin)!r}).load_model(b"fake-model")
        except sam_mm.BackendNotFoundError as error:
            print(error)
        """,
        SAM_MM_LIBTORCH=None,
    )
    child.path = ()
    assert "libtorch 1.0.0" in told and "2.11.0" in told


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed here (3 GB); run_tests.sh brings it along")
@pytest.mark.parametrize("order", ["import torch; predict()", "predict(); import torch"])
def test_torch_and_the_library_share_one_libtorch_in_either_order(child, order):
    told = child.ok(
        PREDICT + order + "\nimport torch\nprint(float((torch.ones(3) @ torch.ones(3))))\n", SAM_MM_LIBTORCH=None
    )
    files, answer = told.split()
    package = Path(importlib.util.find_spec("torch").submodule_search_locations[0])
    assert Path(files).resolve() == (package / "lib/libtorch_cpu.so").resolve()
    assert answer == "3.0"
