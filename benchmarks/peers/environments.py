"""The environment that each peer runs in. Knows packages and virtual environments, and nothing of what is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALLING = 1200.0
"""The most seconds that an installation may take."""
_ON = ("DO_NOT_TRACK", "NO_COLOR", "OPENAI_AGENTS_DISABLE_TRACING", "PYTHONDONTWRITEBYTECODE")
_OFF = ("ANONYMIZED_TELEMETRY", "LANGCHAIN_TRACING_V2", "LANGSMITH_TRACING")
_SILENT = dict.fromkeys(_ON, "1") | dict.fromkeys(_OFF, "false")
_SILENT |= {"OPENAI_API_KEY": "none", "OTEL_SDK_DISABLED": "true"}
"""Nothing is asked of anybody: the model is a fake, and no one is told of the run."""


class NotInstalledError(Exception):
    """A peer's package can't be installed here; the message is the installer's reason."""


def python_of(package: str, folder: Path) -> Path:
    """The Python of a new environment in ``folder`` that has a package. Raises ``NotInstalledError``."""
    _asked([sys.executable, "-m", "venv", "--clear", str(folder)])
    python = folder / "bin" / "python"
    installed_by(str(python), package)
    return python


def installed_by(python: str, *arguments: str) -> None:
    """Have this Python's pip install something. Raises ``NotInstalledError``."""
    options = ["--quiet", "--no-input", "--disable-pip-version-check"]
    _asked([python, "-m", "pip", "install", *options, *arguments])


def surroundings() -> dict[str, str]:
    """The environment variables for a peer's processes."""
    outside = ("PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(outside)} | _SILENT


def _asked(command: list[str]) -> None:
    options = {"capture_output": True, "text": True, "timeout": INSTALLING, "env": surroundings()}
    try:
        done = subprocess.run(command, check=False, **options)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"it was not installed after {INSTALLING:.0f} s") from None
    if done.returncode != 0:
        raise NotInstalledError(reason_in(done.stderr or done.stdout))


def reason_in(output: str) -> str:
    """The line of a program's output that says why it failed: an error, or else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "error:"))]
    return (errors or lines or ["it failed without a word"])[-1][:300]
