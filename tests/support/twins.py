"""What each module's own tests reach of it: ``make twins`` prints the table.

A module covered only by tests of others is a module whose behaviour nobody wrote down.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.test_twins import EXEMPT, PACKAGE, ROOT, modules, twin_of


def coverage_by_twin(module, twin):
    """Percent of the module's lines that its twin runs; None when the twin failed."""
    with tempfile.TemporaryDirectory() as room:
        data, report = Path(room, "data"), Path(room, "report.json")
        coverage = [sys.executable, "-m", "coverage"]
        source = PACKAGE / module
        run = [*coverage, "run", f"--data-file={data}", f"--include={source}", "-m", "pytest"]
        quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        tests = subprocess.run([*run, "-p", "no:cacheprovider", str(twin)], check=False, **quiet)
        write = [*coverage, "json", f"--data-file={data}", "-o", str(report)]
        if tests.returncode or subprocess.run(write, check=False, **quiet).returncode:
            return None
        return json.loads(report.read_text())["totals"]["percent_covered"]


def main():
    worst = 0
    for module in modules():
        twin = twin_of(module)
        if module in EXEMPT or not twin.exists():
            print(f"     -  {module}")
            continue
        percent = coverage_by_twin(module, twin)
        worst |= percent is None
        print("failed  " + module if percent is None else f"{percent:5.1f}%  {module}", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
