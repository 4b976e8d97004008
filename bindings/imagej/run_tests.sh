#!/usr/bin/env bash
# Compiles the ImageJ plugin and runs its tests with Maven, most without a display and some on
# one that is made here. `cargo xtask test bindings` calls this; by hand, set
# SAM_MM_LIBRARY, SAM_MM_BACKEND_PATH and SAM_MM_LIBTORCH. Arguments are Maven's.
set -uo pipefail
cd "$(dirname "$0")"
: "${SAM_MM_LIBRARY:?is the file of libsam_mm.so, and is not set}"
: "${SAM_MM_BACKEND_PATH:?is the file of the torch plugin, and is not set}"
export LC_ALL=C.UTF-8
# The images are small, and threads that wait for each other wait long where many tests run at once.
export OMP_NUM_THREADS=1
rm -rf target/surefire-reports
# Preferences of ImageJ that the tests write must not be the user's.
mkdir -p target/home

# A display of our own for the tests with windows.
command -v Xvfb >/dev/null || { echo "Xvfb is needed (Debian, Ubuntu: apt install xvfb)" >&2; echo "0 passed, 1 failed"; exit 1; }
number=$(mktemp)
Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp 3>"$number" 2>/dev/null &
display=$!
trap 'kill "$display"; rm -f "$number"' EXIT
for _ in $(seq 100); do [[ -s $number ]] && break; sleep 0.1; done
DISPLAY=:$(<"$number")
export DISPLAY

# A network may fail for a moment; the first option is of Maven up to 3.8, the second of later ones.
retries=(-Dmaven.wagon.http.retryHandler.count=6 -Daether.connector.http.retryHandler.count=6)
maven=(mvn --batch-mode --no-transfer-progress "${retries[@]}")
"${maven[@]}" --quiet -f ../java/pom.xml -DskipTests install && "${maven[@]}" "$@" verify
status=$?
../counts.sh target/surefire-reports "$status"
