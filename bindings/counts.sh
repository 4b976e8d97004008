#!/usr/bin/env bash
# Adds up the reports of Maven's test runner: FOLDER STATUS, where the status is Maven's own. Skipped tests count as failed.
set -euo pipefail
python3 - "$1" "$2" <<'PYTHON'
import glob, sys
import xml.etree.ElementTree as xml

passed = failed = 0
for report in glob.glob(sys.argv[1] + "/TEST-*.xml"):
    suite = xml.parse(report).getroot()
    bad = sum(int(suite.get(kind)) for kind in ("errors", "failures", "skipped"))
    passed += int(suite.get("tests")) - bad
    failed += bad
status = int(sys.argv[2])
if status and not failed:
    failed = 1  # it did not even compile, or the virtual machine crashed
# Maven may leave its last line without an end, with codes for colours in it.
print(f"\n{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
PYTHON
