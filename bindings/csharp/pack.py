#!/usr/bin/env python3
"""Makes a NuGet package of a compiled SamMm.dll and libraries, without the .NET SDK.

    pack.py --assembly bin/mono/SamMm.dll --native linux-x64=FILE [--native …] --out DIR

The assembly is put into lib/netstandard2.0, or the folder of --framework, each library into runtimes/<rid>/native. Where there
is an SDK, `dotnet pack` makes the same of SamMm.csproj, for all its frameworks.
"""

import argparse
import pathlib
import re
import xml.etree.ElementTree as xml
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
# Packages of one content are one file: no times of today in them.
TIME = (1980, 1, 1, 0, 0, 0)

NUSPEC = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>{PackageId}</id>
    <version>{Version}</version>
    <authors>{Authors}</authors>
    <license type="expression">{PackageLicenseExpression}</license>
    <readme>README.md</readme>
    <description>{Description}</description>
    <dependencies>
      <group targetFramework="{framework}" />
    </dependencies>
  </metadata>
</package>
"""

CONTENT_TYPES = """<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />
  <Default Extension="nuspec" ContentType="application/octet" />
{types}
</Types>
"""

RELATIONSHIPS = """<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/{name}" Id="R1" />
</Relationships>
"""


def project() -> dict[str, str]:
    """The properties of SamMm.csproj, so that they stand in one place."""
    root = xml.parse(HERE / "SamMm.csproj").getroot()
    return {item.tag: item.text or "" for group in root.iter("PropertyGroup") for item in group}


def native(text: str) -> tuple[str, pathlib.Path]:
    rid, _, file = text.partition("=")
    if not re.fullmatch(r"(linux|win|osx)-(x64|arm64)", rid):
        raise argparse.ArgumentTypeError(f"{text!r} begins with no runtime identifier such as linux-x64")
    return rid, pathlib.Path(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assembly", type=pathlib.Path, required=True)
    parser.add_argument("--framework", default="netstandard2.0")
    parser.add_argument("--native", type=native, action="append", required=True, metavar="RID=FILE")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()

    properties = project()
    files = {f"lib/{given.framework}/SamMm.dll": given.assembly, "README.md": HERE / "README.md"}
    documentation = given.assembly.with_suffix(".xml")
    if documentation.exists():
        files[f"lib/{given.framework}/SamMm.xml"] = documentation
    for rid, file in given.native:
        # A link such as libsam_mm.so.0 is packed under the name that is loaded.
        files[f"runtimes/{rid}/native/{file.name}"] = file
    extensions = sorted({name.rpartition(".")[2] for name in files})
    types = "\n".join(f'  <Default Extension="{each}" ContentType="application/octet" />' for each in extensions)

    name = f"{properties['PackageId']}.nuspec"
    texts = {
        "_rels/.rels": RELATIONSHIPS.format(name=name),
        name: NUSPEC.format(framework=given.framework, **properties),
        "[Content_Types].xml": CONTENT_TYPES.format(types=types),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    target = given.out / f"{properties['PackageId']}.{properties['Version']}.nupkg"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for each, text in texts.items():
            package.writestr(zipfile.ZipInfo(each, TIME), text, zipfile.ZIP_DEFLATED)
        for each, file in sorted(files.items()):
            package.writestr(zipfile.ZipInfo(each, TIME), file.read_bytes(), zipfile.ZIP_DEFLATED)
    print(target)


if __name__ == "__main__":
    main()
