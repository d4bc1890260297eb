"""LangChain: an agent of ``create_agent``, whose ToolNode runs the calls of a turn."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import ToolErrorMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from benchmarks.peers.columns import Script, Setup, main

if TYPE_CHECKING:
    from collections.abc import Callable


class Scripted(BaseChatModel):
    """A chat model that says what the script says."""

    script: Any = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        """Nothing to bind: the script knows its calls."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        script: Script = self.script
        calls = script.request(repr(messages))
        asked = [
            {"name": call.function, "args": call.arguments, "id": call.id, "type": "tool_call"}
            for call in calls
        ]
        message = AIMessage("" if calls else "done", tool_calls=asked)
        return ChatResult(generations=[ChatGeneration(message=message)])


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default. A time limit is only offered for a whole step of the agent's graph."""
    failures = setup.option and setup.column == "failure"
    agent = create_agent(
        Scripted(script=setup.script),
        tools=[tool(function) for function in setup.functions],
        middleware=[ToolErrorMiddleware(lambda error, _: str(error))] if failures else [],
    )
    agent.step_timeout = setup.limit
    config: Any = {"max_concurrency": 40} if setup.option and setup.column == "sleep" else {}
    asked: Any = {"messages": [{"role": "user", "content": "go"}]}
    if setup.option and setup.column == "timeout":
        runner = asyncio.Runner()
        return lambda: runner.run(agent.ainvoke(asked, config))
    return lambda: agent.invoke(asked, config)


if __name__ == "__main__":
    main(adapter, version("langchain"))
