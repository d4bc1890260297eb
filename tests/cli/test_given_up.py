"""Runs that are given up, and files that nobody reads or writes: one line each, and an end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llmorch import Orchestrator, function
from llmorch.cli.progress import Progress
from llmorch.errors import LimitReached, ModelError
from llmorch.models.model import Finished
from llmorch.models.weights import choose
from llmorch.testing import ScriptedModel
from tests.models.loopback import Answer, event, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from llmorch.models.model import Piece
    from llmorch.requests import ModelRequest

PLAN = "s1 = double(x=1)\n"
FUNCTIONS = """
from llmorch import function

@function(pure=True)
def double(x: int) -> int:
    return 2 * x
"""


@pytest.fixture
def offered(tmp_path: Path) -> str:
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return str(path)


def llmorch(*said: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmorch", *said]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class CutOff(ScriptedModel):
    """Its replies end at the limit of tokens."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        async for piece in super().stream(request):
            yield replace(piece, reason="length") if isinstance(piece, Finished) else piece


def test_a_run_that_is_given_up_while_a_plan_is_written_is_told_without_a_traceback(caplog) -> None:
    @function(pure=True)
    def double(x: int) -> int:
        return 2 * x

    model = CutOff([["s0 = double(x=1)\n", "s1 = double(x=1)\n"]], delay=0.1)
    orchestrator = Orchestrator([double], model=model, learn=False)
    with pytest.raises(LimitReached):
        asyncio.run(orchestrator.run("?", max_tokens=1, observer=Progress(quiet=True).observe))
    assert [record for record in caplog.records if "raised" in record.message] == []


@pytest.mark.parametrize("limit", [["--deadline", "1"], ["--max-tokens", "10"]], ids=["deadline", "tokens"])
def test_a_forecast_holds_to_its_limits(offered: str, limit: list[str]) -> None:
    with serving() as endpoint:
        endpoint.answer = lambda _: Answer(lines=[event("# not yet\n")] * 40, pace=0.1)
        began = time.monotonic()
        model = ["-m", "openai:x", "--base-url", endpoint.url]
        done = llmorch("run", "?", "-f", offered, *model, "--dry-run", *limit)
    assert time.monotonic() - began < 20
    assert done.returncode == 1
    assert [line[:6] for line in done.stderr.splitlines() if line.startswith("error:")] == ["error:"]
    assert ("deadline of 1 s" if "--deadline" in limit else "max_tokens is 10") in done.stderr


def test_a_pipe_is_no_file_of_weights_nor_of_a_trace(tmp_path: Path, offered: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ModelError, match="it is no file"):
        choose(f"local:{pipe}")
    plan = tmp_path / "plan.txt"
    plan.write_text(PLAN)
    done = llmorch("execute", str(plan), "-f", offered, "--save-trace", str(pipe))
    assert done.returncode == 2
    assert "it is a pipe, which might never be read" in " ".join(done.stderr.split())
