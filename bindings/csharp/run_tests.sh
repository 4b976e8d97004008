#!/usr/bin/env bash
# Compiles the C# binding, its example and its tests with Mono and runs the tests. `cargo xtask test bindings` calls this; by
# hand, set SAM_MM_LIBRARY, SAM_MM_BACKEND_PATH and SAM_MM_LIBTORCH. An argument runs the tests whose name contains it.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
: "${SAM_MM_LIBRARY:?is the file of libsam_mm.so, and is not set}"
: "${SAM_MM_BACKEND_PATH:?is the file of the torch plugin, and is not set}"
export SAM_MM_ROOT=$root
export SAM_MM_SHARED_CASES=${SAM_MM_SHARED_CASES:-$root/tests/bindings/cases.json}

out=bin/mono
rm -rf "$out"
mkdir -p "$out"
compile=(mcs -langversion:7.2 -unsafe -optimize+ -debug -warnaserror -nowarn:1591)
sources() { find "$@" -name '*.cs' | LC_ALL=C sort; }
mapfile -t library < <(sources src)
mapfile -t tests < <(sources tests)
mapfile -t annotator < <(sources examples/Annotator)
"${compile[@]}" -define:SAM_MM_SPANS -target:library "-doc:$out/SamMm.xml" "-out:$out/SamMm.dll" "${library[@]}"
"${compile[@]}" "-r:$out/SamMm.dll" "-out:$out/Annotator.exe" "${annotator[@]}"
# The tests see what is internal: they are of one assembly with the library.
"${compile[@]}" -define:SAM_MM_SPANS "-out:$out/SamMm.Tests.exe" "${library[@]}" "${tests[@]}"
# The pictures are small, and threads that wait for each other wait long where many tests run at once.
export OMP_NUM_THREADS=1
# Why coop: see SamLibrary.CheckRuntime.
exec env LC_ALL=C.UTF-8 MONO_THREADS_SUSPEND=coop mono --debug "$out/SamMm.Tests.exe" "$@"
