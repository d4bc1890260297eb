"""The package ``llmcompiler``: LLMCompiler on LangGraph."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from llmcompiler.chat.run import RunLLMCompiler
from llmcompiler.result.chat import ChatRequest

from benchmarks.peers.columns import NoLimitError, Script, Setup, main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.peers.columns import Call


class Scripted(BaseChatModel):
    """A model that writes the script's calls as a plan, and then joins."""

    script: Any = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        script: Script = self.script
        calls = script.request(repr(messages))
        text = plan(calls) if calls else '{"_thought_": "done", "_finish_": "done"}'
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


def plan(calls: Sequence[Call]) -> str:
    """The calls as LLMCompiler writes them, their arguments by name."""
    lines = []
    for number, call in enumerate(calls, start=1):
        arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
        lines.append(f"{number}. {call.function}({arguments})")
    return "\n".join([*lines, f"{len(calls) + 1}. join() <END_OF_PLAN>"])


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default."""
    if setup.limit is not None:
        raise NoLimitError
    tools = [tool(function) for function in setup.functions]
    model = Scripted(script=setup.script)

    def run() -> object:
        return RunLLMCompiler(ChatRequest(message="go"), tools, model, print_graph=False)()

    return run


if __name__ == "__main__":
    main(adapter, version("llmcompiler"))
