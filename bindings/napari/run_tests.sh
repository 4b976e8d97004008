#!/usr/bin/env bash
# Installs the Python package, the plugin and napari into an environment under target/ and runs the tests in a real viewer, on a
# screen that nobody sees (Xvfb) with OpenGL in software. Arguments are pytest's.
#
# SAM_MM_LIBRARY, SAM_MM_BACKEND_PATH  the library and the torch plugin (default: target/release)
# SAM_MM_LIBTORCH                      libtorch, where the system does not find it
# SAM_MM_SHARED_CASES, SAM_MM_HASHES_OUT  cases that every language runs, and a file for the hashes of their masks
#
# Needs Python 3.10 or later with venv and pip, and of Debian's packages: xvfb xauth libgl1 libgl1-mesa-dri libegl1 libopengl0
# libdbus-1-3 libfontconfig1 libglib2.0-0 libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0
# libxcb-render-util0 libxcb-cursor0 libxcb-shape0 libxcb-xinerama0
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
command -v xvfb-run >/dev/null || { echo "xvfb-run is missing: install xvfb and xauth" >&2; echo "0 passed, 1 failed"; exit 1; }

export SAM_MM_SHARED_CASES=${SAM_MM_SHARED_CASES:-$root/tests/bindings/cases.json}
source "$here/../python/tools/environment.sh"
install_ours "$here/../python" "$here"
install "napari[pyqt6]>=0.5,<0.10" "pytest>=8,<10" "pytest-qt>=4.4,<5" "numpy>=2,<3"

unset SAM_MM_LIBRARY SAM_MM_BACKEND_PATH QT_QPA_PLATFORM
export LIBGL_ALWAYS_SOFTWARE=1
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$(mktemp -d)}
export XDG_RUNTIME_DIR
summary=$environment/summary-napari.txt
status=0
(cd "$here" && xvfb-run --auto-servernum --server-args="-screen 0 1280x900x24" \
    "$python" -m pytest -q -p no:cacheprovider --disable-warnings tests "$@" 2>&1) | tee "$summary" || status=$?
if [[ -n ${SAM_MM_SCREENSHOT:-} ]]; then
    xvfb-run --auto-servernum --server-args="-screen 0 1280x900x24" "$python" "$here/tools/screenshot.py" "$SAM_MM_SCREENSHOT"
fi
"$python" "$here/../python/tools/count.py" "$summary" || status=1
exit "$status"
