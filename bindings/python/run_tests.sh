#!/usr/bin/env bash
# Builds the wheel, installs it into an environment under target/ and runs the tests on it.
#
# SAM_MM_LIBRARY, SAM_MM_BACKEND_PATH  the library and the torch plugin, which go into the wheel (default: target/release)
# SAM_MM_LIBTORCH           libtorch, where the system does not find it
# SAM_MM_OFFICIAL_PACKAGES  folders, separated by colons, with PyTorch, segment-anything and sam2 to import, for the tests that
#                           compare with them (default: where `cargo xtask test bindings` installs them)
# SAM_MM_FAKE_BACKEND       the compiled fake backend; empty: it is compiled here
# SAM_MM_SHARED_CASES       cases that every language runs; default tests/bindings/cases.json
# SAM_MM_HASHES_OUT         file for the hashes of their masks
#
# Needs Python 3.10 or later with venv and pip, and a C compiler. Arguments are pytest's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export SAM_MM_SHARED_CASES=${SAM_MM_SHARED_CASES:-$root/tests/bindings/cases.json}
source "$here/tools/environment.sh"

install_ours "$here"
install "numpy>=2,<3" "pytest>=8,<10" "mypy>=1.11,<3" "pycocotools>=2.0.8,<3"

# The wheel must be enough: neither the library nor the plugin is named to the tests.
unset SAM_MM_LIBRARY SAM_MM_BACKEND_PATH
export PYTHONPATH=${SAM_MM_OFFICIAL_PACKAGES:-$root/.deps/python:$root/.deps/libtorch}
summary=$environment/summary-python.txt
status=0
(cd "$here" && "$python" -m pytest -q -p no:cacheprovider --disable-warnings tests "$@" 2>&1) | tee "$summary" || status=$?
"$python" "$here/tools/count.py" "$summary" || status=1
exit "$status"
