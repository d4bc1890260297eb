"""The command line of the benchmarks: what it refuses, and how it ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "benchmarks" / "sample"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *map(str, arguments)]


@pytest.mark.parametrize("delay", ["nan", "-1", "inf"])
def test_a_delay_that_is_no_time_is_refused(delay: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command("hotpotqa", "--data", SAMPLE, f"--delay={delay}", "--model", "recorded", "--out", tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--delay is a number of seconds, at least 0" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ignored", [False, True])
def test_a_benchmark_that_is_told_to_end_cleans_up_and_says_how_to_go_on(
    ignored: bool, tmp_path: Path
) -> None:
    made = tmp_path / "tmp"
    made.mkdir()
    started = command(
        "hotpotqa", "--data", SAMPLE, "--model", "recorded", "--delay", 60, "--out", tmp_path / "out"
    )
    if ignored:  # Ctrl-C, as for a command that a shell runs in the background
        started = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *started]
    process = subprocess.Popen(
        started, cwd=ROOT, env=os.environ | {"TMPDIR": str(made)}, stderr=subprocess.PIPE, text=True
    )
    try:
        until = time.monotonic() + 60
        while not list(made.glob("llmorch-*")):
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert said.endswith("interrupted; the same command goes on from here\n")
    assert not list(made.iterdir())
