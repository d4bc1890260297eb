"""LlamaIndex's agent pack of LLMCompiler, from its last release."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.tools import FunctionTool
from llama_index.packs.agents_llm_compiler import LLMCompilerAgentPack

from benchmarks.peers.columns import NoLimitError, Script, Setup, main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.peers.columns import Call


class Scripted(CustomLLM):
    """A model that writes the script's calls as a plan, and then joins."""

    script: Any = None

    @property
    def metadata(self) -> LLMMetadata:
        """Nothing to say of it."""
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        """The plan, then the joiner's verdict."""
        script: Script = self.script
        calls = script.request(prompt)
        return CompletionResponse(text=plan(calls) if calls else "Thought: done\nAction: Finish(done)")

    def stream_complete(self, *_: Any, **__: Any) -> Any:
        """Not asked for."""
        raise NotImplementedError


def plan(calls: Sequence[Call]) -> str:
    """The calls as LLMCompiler writes them, their arguments by position."""
    lines = []
    for number, call in enumerate(calls, start=1):
        arguments = ", ".join(repr(value) for value in call.arguments.values())
        lines.append(f"{number}. {call.function}({arguments})")
    return "\n".join([*lines, f"{len(calls) + 1}. join()<END_OF_PLAN>"])


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default."""
    if setup.limit is not None:
        raise NoLimitError
    pack = LLMCompilerAgentPack(
        tools=[FunctionTool.from_defaults(function) for function in setup.functions],
        llm=Scripted(script=setup.script),
    )

    def run() -> object:
        pack.agent.reset()
        return pack.run("go")

    return run


if __name__ == "__main__":
    main(adapter, version("llama-index-packs-agents-llm-compiler"))
