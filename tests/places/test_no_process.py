"""A keeper that can start no worker says what there was too little of, without a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmorch import Orchestrator, function

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.anyio

WITHOUT_FORKS = """
import errno, os

def fork():
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

os.fork = fork
"""


@function(kind="compute")
def echo(value: int) -> int:
    return value


async def test_no_worker_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_FORKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with Orchestrator([echo], processors=1, learn=False) as orchestrator:
        result = await orchestrator.execute("s1 = echo(value=1)")
    expected = "echo can't be called: no process was started: can't start new thread: raise ulimit -u"
    assert str(result.calls[0].error).startswith(expected)
    assert "Traceback" not in capfd.readouterr().err
