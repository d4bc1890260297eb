"""How long the command line and the import take, each in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.figures import Figure, Series, interleaved


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """With the bytecode cached, as after the first use, wherever the environment wants it."""
    script = Path(sys.executable).with_name("llmorch")
    python = [sys.executable, "-c"]
    commands = {
        "help": [str(script), "--help"] if script.exists() else [sys.executable, "-m", "llmorch", "--help"],
        "import": [*python, "import llmorch"],
        "names": [*python, "from llmorch import Orchestrator, function"],
        "pass": [*python, "pass"],
    }
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs = {name: partial(_seconds, command, environment) for name, command in commands.items()}
        for run in runs.values():
            run()  # writes the bytecode
        spans = interleaved(repeats if quick else 4 * repeats, runs)
    floors = {"python -c pass": Series(spans["pass"])}
    return [
        Figure("startup, --help", "llmorch --help", "s", Series(spans["help"]), floors, at_most=0.25),
        Figure("startup, import", "import llmorch", "s", Series(spans["import"]), floors, at_most=0.15),
        Figure(
            "startup, names",
            "from llmorch import Orchestrator, function",
            "s",
            Series(spans["names"]),
            floors,
        ),
    ]


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    began = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return perf_counter() - began
