"""Writes src/sam_mm/_raw.py from include/sam_mm.h: `python tools/make_raw.py [--check]`.

The header is written by cbindgen, so its forms are few: constants, opaque types, structs, callback types, functions.
What is none of these is an error, never left out.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADER = HERE.parents[2] / "include" / "sam_mm.h"
OUTPUT = HERE.parent / "src" / "sam_mm" / "_raw.py"

SCALARS = {
    "int32_t": "c_int32", "uint32_t": "c_uint32", "int64_t": "c_int64", "uint64_t": "c_uint64",
    "uint8_t": "c_uint8", "float": "c_float", "double": "c_double", "char": "c_char",
}


@dataclass
class Header:
    """What a header declares, in its order."""

    constants: dict[str, int | str] = field(default_factory=dict)
    handles: list[str] = field(default_factory=list)
    structs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    callbacks: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    functions: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def ctype(self, declaration: str) -> tuple[str, str]:
        """Name and ctypes type of a declaration such as `const float *points` or `char message[128]`."""
        words = declaration.replace("const ", "").replace("struct ", "").strip()
        match = re.fullmatch(r"(\w+)\s*(\**)\s*(\w*)\s*(?:\[(\w+)\])?", words)
        if match is None:
            raise SystemExit(f"a declaration of a form that is not known: {declaration!r}")
        base, stars, name, count = match.groups()
        made = self.pointer(base, len(stars)) if stars else self.plain(base)
        return name, f"ct.{made} * {count}" if count and made in SCALARS.values() else self.qualified(made)

    def plain(self, base: str) -> str:
        if base in SCALARS:
            return SCALARS[base]
        if base in self.callbacks or base in self.structs:
            return base
        raise SystemExit(f"a type that is not known: {base!r}")

    def pointer(self, base: str, depth: int) -> str:
        """Texts are `c_char_p`, structs typed pointers, places of handles pointers to `c_void_p`, all data `c_void_p`."""
        if base == "char" and depth == 1:
            return "c_char_p"
        if base in self.structs and depth == 1:
            return f"POINTER({base})"
        if base in SCALARS and depth == 1 or base in self.handles and depth == 1 or base == "void" and depth == 1:
            return "c_void_p"
        if depth == 2:
            return "POINTER(c_char_p)" if base == "char" else "POINTER(c_void_p)"
        raise SystemExit(f"a pointer that is not known: {base!r} with {depth} stars")

    @staticmethod
    def qualified(made: str) -> str:
        """`ct.` before what is of ctypes."""
        if made.startswith("POINTER(c_"):
            return "_PLACE" if made == "POINTER(c_void_p)" else f"ct.POINTER(ct.{made[len('POINTER('):]}"
        return f"ct.{made}" if made.startswith(("POINTER", "c_")) else made


def parse(text: str) -> Header:
    header = Header()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for name, value in re.findall(r"^#define (SAM_MM_\w+)[ \t]+(\S.*)$", text, flags=re.MULTILINE):
        header.constants[name] = value.strip('"') if value.startswith('"') else int(value, 0)
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    text = text.replace('extern "C" {', "", 1)
    text = text[: text.rindex("}")] if text.rstrip().endswith("}") else text
    header.handles = re.findall(r"typedef struct (\w+) \1;", text)
    for statement in statements(text):
        read(statement, header)
    return header


def statements(text: str) -> list[str]:
    """Top-level statements, without their semicolon and on one line each."""
    found = re.findall(r"[^;{]+(?:\{[^}]*\}[^;]*)?;", text)
    rest = re.sub(r"[^;{]+(?:\{[^}]*\}[^;]*)?;", "", text).strip()
    if rest:
        raise SystemExit(f"not understood: {rest[:200]!r}")
    return [" ".join(statement[:-1].split()) for statement in found]


def read(statement: str, header: Header) -> None:
    if re.fullmatch(r"typedef struct (\w+) \1", statement):
        return
    if match := re.fullmatch(r"typedef struct (\w+) \{ (.*) \} \1", statement):
        fields = [part.strip() for part in match[2].split(";") if part.strip()]
        header.structs[match[1]] = [header.ctype(part) for part in fields]
    elif match := re.fullmatch(r"typedef (.*?) ?\(\*(\w+)\)\((.*)\)", statement):
        header.callbacks[match[2]] = (returned(match[1], header), arguments(match[3], header))
    elif match := re.fullmatch(r"((?:const )?\w+ \*?) ?(sam_\w+) ?\((.*)\)", statement.replace("( ", "(")):
        header.functions[match[2]] = (returned(match[1].strip(), header), arguments(match[3], header))
    else:
        raise SystemExit(f"a statement of a form that is not known: {statement!r}")


def returned(text: str, header: Header) -> str:
    return "None" if text == "void" else header.ctype(text)[1]


def arguments(text: str, header: Header) -> list[str]:
    return [] if text in ("void", "") else [header.ctype(part.strip())[1] for part in text.split(",")]


def tuple_of(items: list[str]) -> str:
    return f"({', '.join(items)},)" if len(items) == 1 else f"({', '.join(items)})"


def write(header: Header) -> str:
    out = [
        '"""The C API as ctypes knows it. Generated by tools/make_raw.py from include/sam_mm.h; changes belong there."""',
        "", "import ctypes as ct", "from typing import Any", "",
        "# Where a function writes a handle, an error or an address.", "_PLACE = ct.POINTER(ct.c_void_p)", "",
    ]
    out += [f"{name} = {value!r}".replace("'", '"') for name, value in header.constants.items()]
    # A callback type may name a struct and a struct a callback type, so both come in the order of the header.
    for name in order(header):
        out += ["", ""] if name in header.structs else [""]
        if name in header.structs:
            out += [f"class {name}(ct.Structure):", "    _fields_ = ["]
            out += [f'        ("{field_name}", {made}),' for field_name, made in header.structs[name]]
            out += ["    ]", ""]
        else:
            result, taken = header.callbacks[name]
            out.append(f"{name} = ct.CFUNCTYPE({', '.join([result, *taken])})")
    out += ["", "", "# What each function returns and takes.", "FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {"]
    out += [f'    "{name}": ({result}, {tuple_of(taken)}),' for name, (result, taken) in header.functions.items()]
    out += ["}", ""]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(out))


def order(header: Header) -> list[str]:
    """Types before their use: as they stand, but for what they name."""
    names = [*header.callbacks, *header.structs]
    placed: list[str] = []

    def place(name: str) -> None:
        if name in placed:
            return
        used = header.callbacks[name][1] if name in header.callbacks else [made for _, made in header.structs[name]]
        for other in names:
            if other != name and any(re.search(rf"\b{other}\b", made) for made in used):
                place(other)
        placed.append(name)

    for name in names:
        place(name)
    return placed


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="only tell whether the file is that of the header")
    text = write(parse(HEADER.read_text(encoding="utf-8")))
    if options.parse_args().check:
        if OUTPUT.read_text(encoding="utf-8") == text:
            return 0
        print(f"{OUTPUT} is not that of {HEADER}: run tools/make_raw.py", file=sys.stderr)
        return 1
    OUTPUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
