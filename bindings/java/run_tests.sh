#!/usr/bin/env bash
# Compiles the Java binding and runs its tests with Maven. `cargo xtask test bindings` calls this; by hand, set SAM_MM_LIBRARY,
# SAM_MM_BACKEND_PATH and SAM_MM_LIBTORCH. Arguments are Maven's, such as -Dtest=PredictTest.
set -uo pipefail
cd "$(dirname "$0")"
: "${SAM_MM_LIBRARY:?is the file of libsam_mm.so, and is not set}"
: "${SAM_MM_BACKEND_PATH:?is the file of the torch plugin, and is not set}"
# Names of files with letters of all kinds need a UTF-8 locale, in Java as elsewhere.
export LC_ALL=C.UTF-8
rm -rf target/surefire-reports
# A network may fail for a moment; the first option is of Maven up to 3.8, the second of later ones.
retries=(-Dmaven.wagon.http.retryHandler.count=6 -Daether.connector.http.retryHandler.count=6)
mvn --batch-mode --no-transfer-progress "${retries[@]}" "$@" test
status=$?
exec ../counts.sh target/surefire-reports "$status"
