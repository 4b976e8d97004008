"""Puts the shared library and the torch plugin into the wheel, and marks it for the platform they run on.

Where they come from, the first that there is: `SAM_MM_LIBRARY` and `SAM_MM_BACKEND_PATH`, what cargo built in the project's
`target/release`, and, with `SAM_MM_BUILD=1` or when there is no library yet, a build by cargo. The plugin is left out, with
a line that says so, where it was not built: that takes libtorch (`LIBTORCH`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAMES = {"win32": ("", ".dll"), "darwin": ("lib", ".dylib")}


def file_name(library: str) -> str:
    prefix, suffix = NAMES.get(sys.platform, ("lib", ".so"))
    return f"{prefix}{library}{suffix}"


class LibraryHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        project = Path(self.root).parents[1]
        library = self.find("SAM_MM_LIBRARY", "sam_mm", project)
        if library is None or os.environ.get("SAM_MM_BUILD") == "1":
            build(project)
            library = self.find("SAM_MM_LIBRARY", "sam_mm", project)
        if library is None:
            raise RuntimeError(
                f"there is no {file_name('sam_mm')}: name it in SAM_MM_LIBRARY, or build it with cargo in the project"
            )
        bundled = {library: "sam_mm"}
        plugin = self.find("SAM_MM_BACKEND_PATH", "sam_mm_torch", project)
        if plugin is not None:
            bundled[plugin] = "sam_mm_torch"
        else:
            self.app.display_warning("the torch plugin was not built, so the wheel has none: LIBTORCH=… SAM_MM_BUILD=1")
        build_data["force_include"].update({str(path): f"sam_mm/lib/{file_name(name)}" for path, name in bundled.items()})
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"

    def find(self, variable: str, library: str, project: Path) -> Path | None:
        named = os.environ.get(variable)
        places = [Path(named), Path(named) / file_name(library)] if named else []
        places.append(project / "target" / "release" / file_name(library))
        return next((place.resolve() for place in places if place.is_file()), None)


def build(project: Path) -> None:
    """Builds the library, and the plugin where libtorch is."""
    cargo = shutil.which("cargo")
    if cargo is None or not (project / "Cargo.toml").is_file():
        return
    packages = ["--package", "sam-mm"]
    if os.environ.get("LIBTORCH") or os.environ.get("SAM_MM_LIBTORCH"):
        packages += ["--package", "sam-mm-torch"]
    environment = {"LIBTORCH": os.environ.get("SAM_MM_LIBTORCH", ""), "LIBTORCH_CXX11_ABI": "1", **os.environ}
    subprocess.run([cargo, "build", "--release", *packages], cwd=project, env=environment, check=True)


def platform_tag() -> str:
    """The platform of this Python: what was built here needs the C library that is here."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
