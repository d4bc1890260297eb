"""Pydantic AI: an ``Agent`` with its ``FunctionModel``."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic_ai import Agent, ModelMessage, ModelResponse, TextPart, Tool, ToolCallPart
from pydantic_ai.capabilities import Hooks
from pydantic_ai.models.function import AgentInfo, FunctionModel

from benchmarks.peers import tasks
from benchmarks.peers.columns import Setup, main

if TYPE_CHECKING:
    from collections.abc import Callable


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default; with the option, ``write`` is declared sequential, and a hook tells failures."""

    def reply(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        calls = setup.script.request(repr(messages))
        asked = [ToolCallPart(call.function, call.arguments, tool_call_id=call.id) for call in calls]
        return ModelResponse(parts=asked or [TextPart("done")])

    tools = [
        Tool(function, timeout=setup.limit, sequential=setup.option and function is tasks.write)
        for function in setup.functions
    ]
    hooks: Hooks[None] = Hooks()
    if setup.option and setup.column == "failure":
        hooks.on.tool_execute_error(_told)
    agent = Agent(FunctionModel(reply), tools=tools, capabilities=[hooks])
    return lambda: agent.run_sync("go")


async def _told(ctx: Any, /, *, call: Any, tool_def: Any, args: Any, error: Exception) -> str:
    return str(error)


if __name__ == "__main__":
    main(adapter, version("pydantic-ai-slim"))
