"""OpenAI Agents SDK: an ``Agent`` run by ``Runner``, with the SDK's own double of a model."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool
from agents.testing import assistant_message, function_call

from benchmarks.peers.columns import Setup, main

if TYPE_CHECKING:
    from collections.abc import Callable


class Scripted(Model):
    """A model that says what the script says."""

    def __init__(self, setup: Setup) -> None:
        self._script = setup.script

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:  # noqa: A002
        """The script's calls, then its answer."""
        calls = self._script.request(repr(input))
        asked: list[Any] = [
            function_call(call.function, json.dumps(call.arguments), call_id=call.id) for call in calls
        ]
        return ModelResponse(output=asked or [assistant_message("done")], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        """Not asked for by ``Runner.run``."""
        raise NotImplementedError


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default."""
    limits: dict[str, Any] = {} if setup.limit is None else {"timeout": setup.limit}
    agent = Agent(
        name="peer",
        model=Scripted(setup),
        tools=[function_tool(function, **limits) for function in setup.functions],
    )
    runner = asyncio.Runner()
    return lambda: runner.run(Runner.run(agent, "go"))


if __name__ == "__main__":
    main(adapter, version("openai-agents"))
