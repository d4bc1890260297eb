"""Strands Agents: an ``Agent`` with its concurrent executor of tools, which is the default."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from strands import Agent, tool
from strands.models import Model

from benchmarks.peers.columns import NoLimitError, Setup, main

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Scripted(Model):
    """A model that says what the script says."""

    def __init__(self, setup: Setup) -> None:
        self._script = setup.script

    def get_config(self) -> Any:
        """Nothing to configure."""
        return {}

    def update_config(self, **_: Any) -> None:
        """Nothing to configure."""

    async def stream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """The script's calls, then its answer, as the events of a reply."""
        calls = self._script.request(repr(messages))
        yield {"messageStart": {"role": "assistant"}}
        for call in calls:
            yield {"contentBlockStart": {"start": {"toolUse": {"name": call.function, "toolUseId": call.id}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(call.arguments)}}}}
            yield {"contentBlockStop": {}}
        if not calls:
            yield {"contentBlockDelta": {"delta": {"text": "done"}}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if calls else "end_turn"}}

    async def structured_output(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """Not asked for."""
        raise NotImplementedError
        yield


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default."""
    if setup.limit is not None:
        raise NoLimitError
    agent = Agent(
        model=Scripted(setup),
        tools=[tool(function) for function in setup.functions],
        callback_handler=None,
    )
    return lambda: agent("go")


if __name__ == "__main__":
    main(adapter, version("strands-agents"))
