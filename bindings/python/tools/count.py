"""Says what pytest's last line says as `N passed, M failed`, after a line on what was skipped: `python count.py OUTPUT`."""

import re
import sys
from pathlib import Path


def summary(output: str) -> str:
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last_line(output))}
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    skipped = f"{counts['skipped']} not run, for the reasons above\n" if "skipped" in counts else ""
    return f"{skipped}{counts.get('passed', 0)} passed, {failed} failed"


def last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if re.search(r"\b(passed|failed|errors?|no tests ran)\b.* in [\d.]+", line)]
    return lines[-1] if lines else "1 failed"


if __name__ == "__main__":
    print(summary(Path(sys.argv[1]).read_text(encoding="utf-8")))
