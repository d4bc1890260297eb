"""What the tests of the command line share: the program in this process, which need not start first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from llmorch.cli.app import app

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Program:
    """Runs the program to its end, for what needs no process of its own: it calls no function."""

    def run(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        given = tmp_path_factory.mktemp("stdin") / "text"
        given.write_text(stdin, encoding="utf-8")
        capfd.readouterr()
        with given.open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            with pytest.raises(SystemExit) as ended:
                app(args, prog_name="llmorch")
        told = capfd.readouterr()
        return subprocess.CompletedProcess(args, ended.value.code or 0, told.out, told.err)

    return run
