"""The raw layer is that of the header, and the compiler agrees."""

from __future__ import annotations

import ctypes as ct
import importlib.util
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT
from sam_mm import _library, _raw

TOOL = ROOT / "bindings/python/tools/make_raw.py"


@pytest.fixture(scope="module")
def tool():
    import sys

    spec = importlib.util.spec_from_file_location("make_raw", TOOL)
    module = sys.modules["make_raw"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def header(tool):
    return tool.parse(tool.HEADER.read_text(encoding="utf-8"))


def test_the_raw_layer_is_what_the_header_makes(tool, header):
    assert Path(_raw.__file__).read_text(encoding="utf-8") == tool.write(header), "run tools/make_raw.py"


def test_a_changed_field_or_function_is_seen(tool):
    text = tool.HEADER.read_text(encoding="utf-8")
    narrower = text.replace("uint64_t data_len;", "uint32_t data_len;", 1)
    renamed = text.replace("int32_t sam_optimize(", "int32_t sam_optimise(", 1)
    for changed in (narrower, renamed):
        assert changed != text
        assert tool.write(tool.parse(changed)) != Path(_raw.__file__).read_text(encoding="utf-8")


def test_what_is_not_understood_is_an_error(tool):
    for line in ("union sam_mm_u { int32_t a; };", "int32_t sam_mm_x(long a);"):
        text = tool.HEADER.read_text(encoding="utf-8").replace("#ifdef __cplusplus\n}", line + "\n#ifdef __cplusplus\n}")
        with pytest.raises(SystemExit):
            tool.parse(text)


def test_sizes_and_offsets_are_those_of_the_compiler(header, tmp_path):
    lines, expected = [], []
    for name, fields in header.structs.items():
        struct = getattr(_raw, name)
        lines.append(f'printf("%zu\\n", sizeof({name}));')
        expected.append(ct.sizeof(struct))
        for field, _ in fields:
            lines.append(f'printf("%zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
            expected.append((getattr(struct, field).offset, getattr(struct, field).size))
    source = tmp_path / "layout.c"
    source.write_text('#include "sam_mm.h"\n#include <stdio.h>\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run(["cc", f"-I{ROOT / 'include'}", str(source), "-o", str(tmp_path / "layout")], check=True)
    told = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True).stdout.splitlines()
    told = [tuple(map(int, line.split())) if " " in line else int(line) for line in told]
    assert told == expected


def test_every_exported_function_has_its_types():
    exported = (ROOT / "tests/exported_symbols.txt").read_text().split()
    assert set(_raw.FUNCTIONS) == {name for name in exported if name.startswith("sam_")}


def test_a_library_of_another_abi_is_refused_in_words(tmp_path):
    source = tmp_path / "other.c"
    source.write_text("#include <stdint.h>\nuint32_t sam_mm_abi_version(void) { return 7; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(tmp_path / "other.so")], check=True)
    with pytest.raises(_library.LibraryNotFound, match="version 7 of the C ABI"):
        _library._with_types(ct.CDLL(str(tmp_path / "other.so")))


def test_an_older_library_is_refused_with_the_function_that_it_lacks(tmp_path):
    source = tmp_path / "older.c"
    source.write_text("#include <stdint.h>\nuint32_t sam_mm_abi_version(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(tmp_path / "older.so")], check=True)
    with pytest.raises(_library.LibraryNotFound, match="older than this package: .*sam_mm_version"):
        _library._with_types(ct.CDLL(str(tmp_path / "older.so")))


def test_a_missing_library_is_told_with_its_path(child):
    done = child("import sam_mm; sam_mm.Context()", SAM_MM_LIBRARY="/nowhere/libsam_mm.so")
    assert done.returncode == 1
    assert "LibraryNotFound" in done.stderr and "/nowhere/libsam_mm.so" in done.stderr and "SAM_MM_LIBRARY" in done.stderr
