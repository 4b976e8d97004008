#!/usr/bin/env bash
# Builds the wheel, installs it into an environment of its own under target/ and runs the tests on it.
#
# SAM_MM_LIBRARY, SAM_MM_BACKEND_PATH  the library and the torch plugin, which go into the wheel (default: target/release)
# SAM_MM_LIBTORCH      libtorch, where the system does not find it
# SAM_MM_FAKE_BACKEND  the compiled fake backend; empty: it is compiled here
# SAM_MM_SHARED_CASES  cases that every language runs; default tests/bindings/cases.json
# SAM_MM_HASHES_OUT    file for the hashes of their masks
#
# Needs Python 3.9 or later with venv and pip, and a C compiler. `--torch` installs PyTorch and the official
# segment-anything besides (3 GB) and runs what compares with them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export SAM_MM_SHARED_CASES=${SAM_MM_SHARED_CASES:-$root/tests/bindings/cases.json}

environment=$root/target/python/tests
[[ ${1:-} == --torch ]] && environment=$root/target/python/tests-with-torch
python=$environment/bin/python
[[ -x $python ]] || python3 -m venv "$environment"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m pip install --quiet --upgrade "pip>=24"

wheels=$root/target/python/wheels
rm -rf "$wheels"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" "$here"
"$python" -m pip install --quiet --force-reinstall --no-deps "$wheels"/sam_mm-*.whl
"$python" -m pip install --quiet "numpy>=2,<3" "pytest>=8,<10" "mypy>=1.11,<3" "pycocotools>=2.0.8,<3"
if [[ ${1:-} == --torch ]]; then
    "$python" -m pip install --quiet torch==2.11.0 pillow opencv-python-headless safetensors
    "$python" -m pip install --quiet --no-deps torchvision==0.26.0 segment-anything==1.0
fi

# The wheel must be enough: neither the library nor the plugin is named to the tests.
unset SAM_MM_LIBRARY SAM_MM_BACKEND_PATH PYTHONPATH
summary=$environment/summary.txt
status=0
(cd "$here" && "$python" -m pytest -q -p no:cacheprovider --disable-warnings tests 2>&1) | tee "$summary" || status=$?
"$python" "$here/tools/count.py" "$summary"
exit "$status"
