"""Says what pytest's last line says as `N passed, M failed`: `python count.py OUTPUT`. What was skipped counts as failed: where
these run, everything is installed that a test can ask for."""

import re
import sys
from pathlib import Path


def counts(output: str) -> tuple[int, int]:
    found = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)", last_line(output))}
    passed = found.pop("passed", 0)
    return passed, sum(found.values())


def last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if re.search(r"\b(passed|failed|errors?|skipped|no tests ran)\b.* in [\d.]+", line)]
    return lines[-1] if lines else "1 failed"


if __name__ == "__main__":
    passed, failed = counts(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
