"""LlamaIndex: a ``FunctionAgent`` with the library's own mock of a function-calling model."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.tools import FunctionTool

from benchmarks.peers.columns import Setup, main

if TYPE_CHECKING:
    from collections.abc import Callable


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default. A time limit is only offered for the whole run."""

    def reply(messages: Any, **_: Any) -> ChatMessage:
        calls = setup.script.request(repr(messages))
        asked = [
            ToolCallBlock(tool_call_id=call.id, tool_name=call.function, tool_kwargs=call.arguments)
            for call in calls
        ]
        return ChatMessage(role="assistant", blocks=asked) if asked else ChatMessage("done", role="assistant")

    agent = FunctionAgent(
        tools=[FunctionTool.from_defaults(function) for function in setup.functions],
        llm=MockFunctionCallingLLM(response_generator=reply),
        timeout=setup.limit,
    )

    async def run() -> object:
        return await agent.run("go")

    runner = asyncio.Runner()
    return lambda: runner.run(run())


if __name__ == "__main__":
    main(adapter, version("llama-index-core"))
