"""A child process that speaks to the local model as llama.cpp does, and says what a test wants to hear."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from llmorch.models import server
from tests.models.loopback import Answer, event, reply, serving
from tests.models.replies import number_of

_ROOT = str(Path(__file__).parents[2])
COMMAND = f"import sys; sys.path[:0] = [{_ROOT!r}]; from tests.models.stand_in import main; main()"
"""Starts it in the place of the local model's process."""
_open: list[Any] = []


def main() -> None:
    """Be the child of a local model, but for llama.cpp."""
    server._serve = _serve
    server.main()


def _serve(settings: dict[str, Any]) -> SimpleNamespace:
    weights = Path(settings["path"])
    if "fails" in weights.name:
        raise RuntimeError("the model\nburst")

    def answer(body: dict[str, Any]) -> Answer:
        if "messages" not in body:  # to count tokens, or to save or restore a slot
            return Answer(body='{"tokens": []}', kind="application/json")
        if "endless" in weights.name:
            return Answer(lines=[event("x")], endless=True)
        said = number_of(body["messages"][-1]["content"])
        return reply(said[:4], said[4:])

    def tell() -> None:
        endpoint.hung_up.wait()
        weights.with_suffix(".hung_up").touch()

    _open.append(serving())
    endpoint = _open[0].__enter__()
    endpoint.answer = answer
    threading.Thread(target=tell, daemon=True).start()
    return SimpleNamespace(listening_address=endpoint.url.removesuffix("/v1"))
