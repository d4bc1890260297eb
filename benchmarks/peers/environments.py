"""Which executors are measured, and the environment that each of them runs in.

Knows packages and virtual environments; what is measured there is in ``columns.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
INSTALLING = 1200.0
"""The most seconds that an installation may take."""

_COMPLETE = "complete.txt"
_SILENT = {
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "NO_COLOR": "1",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OPENAI_API_KEY": "none",
    "OTEL_SDK_DISABLED": "true",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""Nothing is asked of anybody: the model is a fake, and no one is told of the run."""


@dataclass(frozen=True)
class Peer:
    """An executor: its adapter, and the package that brings it; ours needs none.

    ``options`` names, for a column, the setting with which it is measured once more.
    ``limit`` is what the executor calls a time limit of a call, where that is not what it says.
    """

    name: str
    adapter: str
    package: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    limit: str = ""


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("llmorch", "run_llmorch", options={"failure": "a model that names no other call"}),
        Peer("llmorch parallel", "run_llmorch_parallel"),
        Peer(
            "langchain",
            "run_langchain",
            "langchain==1.4.7",
            {"sleep": "max_concurrency=40", "failure": "ToolErrorMiddleware", "timeout": "ainvoke"},
            limit="step_timeout",
        ),
        Peer("openai-agents", "run_openai_agents", "openai-agents==0.24.0"),
        Peer(
            "pydantic-ai",
            "run_pydantic_ai",
            "pydantic-ai-slim==2.68.0",
            {"order": "sequential=True for write", "failure": "a tool_execute_error hook"},
        ),
        Peer("smolagents", "run_smolagents", "smolagents==1.26.0", {"sleep": "max_tool_threads=40"}),
        Peer(
            "llama-index",
            "run_llama_index",
            "llama-index-core==0.14.25",
            limit="the whole run's timeout",
        ),
        Peer("strands-agents", "run_strands", "strands-agents==1.62.0"),
        Peer(
            "google-adk",
            "run_google_adk",
            "google-adk==2.13.0",
            {
                "sleep": "a pool of 40 threads",
                "order": "a pool of 40 threads",
                "failure": "on_tool_error_callback",
                "timeout": "a pool of 40 threads",
            },
            limit="the whole run's timeout",
        ),
        Peer(
            "llama-index llm-compiler",
            "run_llm_compiler_pack",
            "llama-index-packs-agents-llm-compiler==0.3.1",
        ),
        Peer("llmcompiler", "run_llmcompiler", "llmcompiler==2.0.1"),
    )
}


class NotInstalledError(Exception):
    """A peer's package can't be installed here; the message is the installer's reason."""


def python_of(peer: Peer, environments: Path) -> Path:
    """The Python that has the peer, installed into ``environments`` unless it is there.

    Raises ``NotInstalledError``.
    """
    if peer.package is None:
        return Path(sys.executable)
    folder = environments / peer.adapter
    python = folder / "bin" / "python"
    complete = folder / _COMPLETE
    if complete.is_file() and complete.read_text(encoding="utf-8") == peer.package and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _asked([sys.executable, "-m", "venv", str(folder)])
    _asked([str(python), "-m", "pip", "install", "--quiet", "--no-input", peer.package])
    complete.write_text(peer.package, encoding="utf-8")
    return python


def remove(peer: Peer, environments: Path) -> None:
    """Delete the peer's environment, if it has one."""
    if peer.package is not None:
        shutil.rmtree(environments / peer.adapter, ignore_errors=True)


def surroundings() -> dict[str, str]:
    """The environment variables for a peer's processes."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return kept | _SILENT


def _asked(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALLING, env=surroundings(), check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"it was not installed after {INSTALLING:.0f} s") from None
    if done.returncode != 0:
        raise NotInstalledError(reason_in(done.stderr or done.stdout))


def reason_in(output: str) -> str:
    """The line of a program's output that says why it failed: an error, or else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "error:"))]
    return (errors or lines or ["it failed without a word"])[-1][:300]
