"""What the tests of the command line share: the program in this process, which need not start first."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable

import pytest

from llmorch.cli.app import app

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """Runs the program to its end, for what needs no process of its own: it calls no function."""

    def run(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8")), "utf-8"))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            app(args, prog_name="llmorch")
        told = capfd.readouterr()
        return subprocess.CompletedProcess(args, ended.value.code or 0, told.out, told.err)

    return run
