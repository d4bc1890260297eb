"""smolagents: a ``ToolCallingAgent``."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from smolagents import ToolCallingAgent, tool
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)

from benchmarks.peers.columns import NoLimitError, Setup, main

if TYPE_CHECKING:
    from collections.abc import Callable


class Scripted(Model):
    """A model that says what the script says."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(model_id="scripted")
        self._script = setup.script

    def generate(self, messages: Any, *_: Any, **__: Any) -> ChatMessage:
        """The script's calls, then the answer, which is a call here as well."""
        calls = [
            (call.id, call.function, call.arguments) for call in self._script.request(repr(messages))
        ] or [("answer", "final_answer", {"answer": "done"})]
        asked = [
            ChatMessageToolCall(
                id=id_, type="function", function=ChatMessageToolCallFunction(name=name, arguments=arguments)
            )
            for id_, name, arguments in calls
        ]
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=asked)


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default; with the option, a thread for each call."""
    if setup.limit is not None:
        raise NoLimitError
    agent = ToolCallingAgent(
        tools=[tool(function) for function in setup.functions],
        model=Scripted(setup),
        max_tool_threads=40 if setup.option else None,
        verbosity_level=0,
    )
    return lambda: agent.run("go")


if __name__ == "__main__":
    main(adapter, version("smolagents"))
