"""All tests, in two processes side by side, so that no core of a small machine is idle.

What is given on the command line is given to both. The second's report is printed when both have ended.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECOND = ["runtime", "places", "schedule", "plan", "fuzz"]
"""The folders of the second process, which take about as long as all the rest."""
ENDED_WELL = (0, 5)
"""All passed; or none was chosen, which is well if the other process has some."""


def main(options: list[str]) -> int:
    """The exit code of pytest, for both."""
    pytest = [sys.executable, "-m", "pytest", *options]
    second = [f"tests/{folder}" for folder in SECOND]
    with tempfile.TemporaryFile() as report:
        beside = subprocess.Popen([*pytest, *second], cwd=ROOT, stdout=report, stderr=subprocess.STDOUT)
        try:
            here = subprocess.run(
                [*pytest, "tests", *(f"--ignore={folder}" for folder in second)], cwd=ROOT, check=False
            )
        finally:  # an interrupt reaches both
            beside.wait()
            report.seek(0)
            sys.stdout.buffer.write(report.read())
            sys.stdout.flush()
    codes = (here.returncode, beside.returncode)
    return next((code for code in codes if code not in ENDED_WELL), min(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
