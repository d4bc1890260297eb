"""Every executor that is measured: how it is set up, and the package that brings it.

An adapter imports its packages when it is called: they are in the peer's environment, not in the
project's. Everything is as it comes, but for the option that ``PEERS`` names for a column.
"""

# mypy: disable-error-code="import-not-found,misc"

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from benchmarks.peers import ours, tasks
from benchmarks.peers.columns import NoLimitError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from benchmarks.peers.columns import Call, Setup

    Run = Callable[[], object]


def langchain(setup: Setup) -> Run:
    """An agent of ``create_agent``; a time limit is only offered for a whole step of the agent's graph."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import ToolErrorMiddleware
    from langchain_core.tools import tool

    def reply(text: str) -> tuple[str, list[Any]]:
        calls = setup.script.request(text)
        asked = [{"name": call.function, "args": call.arguments, "id": call.id} for call in calls]
        return "" if calls else "done", [one | {"type": "tool_call"} for one in asked]

    failures = setup.option and setup.column == "failure"
    agent = create_agent(
        _chat_model(reply),
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


def _chat_model(reply: Callable[[str], tuple[str, list[Any]]]) -> Any:
    """A model of LangChain's that says what is given."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Scripted(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

        def _generate(self, messages: Any, *_: Any, **__: Any) -> Any:
            text, calls = reply(repr(messages))
            return ChatResult(generations=[ChatGeneration(message=AIMessage(text, tool_calls=calls))])

    return Scripted()


def openai_agents(setup: Setup) -> Run:
    """An ``Agent`` run by ``Runner``, with the SDK's own double of a model."""
    from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool
    from agents.testing import assistant_message, function_call

    class Scripted(Model):
        async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> Any:  # noqa: A002
            calls = setup.script.request(repr(input))
            asked: list[Any] = [
                function_call(call.function, json.dumps(call.arguments), call_id=call.id) for call in calls
            ]
            return ModelResponse(output=asked or [assistant_message("done")], usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    limits: dict[str, Any] = {} if setup.limit is None else {"timeout": setup.limit}
    tools = [function_tool(function, **limits) for function in setup.functions]
    agent, runner = Agent(name="peer", model=Scripted(), tools=tools), asyncio.Runner()
    return lambda: runner.run(Runner.run(agent, "go"))


def pydantic_ai(setup: Setup) -> Run:
    """An ``Agent`` with its ``FunctionModel``; ``write`` may be declared sequential, and a hook tells failures."""
    from pydantic_ai import Agent, ModelResponse, TextPart, Tool, ToolCallPart
    from pydantic_ai.capabilities import Hooks
    from pydantic_ai.models.function import FunctionModel

    def reply(messages: Any, _: Any) -> Any:
        calls = setup.script.request(repr(messages))
        asked = [ToolCallPart(call.function, call.arguments, tool_call_id=call.id) for call in calls]
        return ModelResponse(parts=asked or [TextPart("done")])

    async def told(ctx: Any, /, *, call: Any, tool_def: Any, args: Any, error: Exception) -> str:
        return str(error)

    tools = [
        Tool(function, timeout=setup.limit, sequential=setup.option and function is tasks.write)
        for function in setup.functions
    ]
    hooks: Any = Hooks()
    if setup.option and setup.column == "failure":
        hooks.on.tool_execute_error(told)
    agent = Agent(FunctionModel(reply), tools=tools, capabilities=[hooks])
    return lambda: agent.run_sync("go")


def smolagents(setup: Setup) -> Run:
    """A ``ToolCallingAgent``, for which an answer is a call as well."""
    from smolagents import ToolCallingAgent, models, tool

    class Scripted(models.Model):
        def generate(self, messages: Any, *_: Any, **__: Any) -> Any:
            calls = [
                (call.id, call.function, call.arguments) for call in setup.script.request(repr(messages))
            ] or [("answer", "final_answer", {"answer": "done"})]
            asked = []
            for id_, name, arguments in calls:
                called = models.ChatMessageToolCallFunction(name=name, arguments=arguments)
                asked.append(models.ChatMessageToolCall(id=id_, type="function", function=called))
            return models.ChatMessage(role=models.MessageRole.ASSISTANT, content="", tool_calls=asked)

    _unlimited(setup)
    agent = ToolCallingAgent(
        tools=[tool(function) for function in setup.functions],
        model=Scripted(model_id="scripted"),
        max_tool_threads=40 if setup.option else None,
        verbosity_level=0,
    )
    return lambda: agent.run("go")


def _unlimited(setup: Setup) -> None:
    if setup.limit is not None:
        raise NoLimitError


def llama_index(setup: Setup) -> Run:
    """A ``FunctionAgent`` with the library's own mock of a model; a limit is only offered for the whole run."""
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.base.llms.types import ToolCallBlock
    from llama_index.core.llms import ChatMessage
    from llama_index.core.llms.mock import MockFunctionCallingLLM
    from llama_index.core.tools import FunctionTool

    def reply(messages: Any, **_: Any) -> Any:
        asked = [
            ToolCallBlock(tool_call_id=call.id, tool_name=call.function, tool_kwargs=call.arguments)
            for call in setup.script.request(repr(messages))
        ]
        return ChatMessage(role="assistant", blocks=asked) if asked else ChatMessage("done", role="assistant")

    tools = [FunctionTool.from_defaults(function) for function in setup.functions]
    model = MockFunctionCallingLLM(response_generator=reply)
    agent, runner = FunctionAgent(tools=tools, llm=model, timeout=setup.limit), asyncio.Runner()

    async def run() -> object:
        return await agent.run("go")

    return lambda: runner.run(run())


def strands(setup: Setup) -> Run:
    """An ``Agent`` with its concurrent executor of tools, which is the default."""
    from strands import Agent, tool
    from strands.models import Model

    class Scripted(Model):
        def get_config(self) -> Any:
            return {}

        def update_config(self, **_: Any) -> None:
            pass

        async def stream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
            calls = setup.script.request(repr(messages))
            yield {"messageStart": {"role": "assistant"}}
            for call in calls:
                use = {"name": call.function, "toolUseId": call.id}
                yield {"contentBlockStart": {"start": {"toolUse": use}}}
                yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(call.arguments)}}}}
                yield {"contentBlockStop": {}}
            if not calls:
                yield {"contentBlockDelta": {"delta": {"text": "done"}}}
                yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "tool_use" if calls else "end_turn"}}

        async def structured_output(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            raise NotImplementedError
            yield

    _unlimited(setup)
    tools = [tool(function) for function in setup.functions]
    agent = Agent(model=Scripted(), tools=tools, callback_handler=None)
    return lambda: agent("go")


def google_adk(setup: Setup) -> Run:
    """An ``LlmAgent`` in an ``InMemoryRunner``; a time limit is only offered for the whole run of an agent.

    The options are a callback for ``failure``, and threads for the others.
    """
    from google.adk.agents import LlmAgent
    from google.adk.agents.run_config import RunConfig, ToolThreadPoolConfig
    from google.adk.models import BaseLlm, LlmResponse
    from google.adk.runners import InMemoryRunner
    from google.genai.types import Content, FunctionCall, Part

    class Scripted(BaseLlm):
        async def generate_content_async(self, llm_request: Any, stream: bool = False) -> AsyncIterator[Any]:
            text = "".join(content.model_dump_json() for content in llm_request.contents)
            asked = [
                Part(function_call=FunctionCall(name=call.function, args=call.arguments, id=call.id))
                for call in setup.script.request(text)
            ]
            yield LlmResponse(content=Content(role="model", parts=asked or [Part(text="done")]))

    def told(tool: Any, args: Any, tool_context: Any, error: Exception) -> dict[str, str]:
        return {"error": str(error)}

    failures = setup.option and setup.column == "failure"
    agent = LlmAgent(
        name="peer",
        model=Scripted(model="scripted"),
        tools=list(setup.functions),
        timeout=setup.limit,
        on_tool_error_callback=told if failures else None,
    )
    threads = ToolThreadPoolConfig(max_workers=40) if setup.option and not failures else None
    config = RunConfig(tool_thread_pool_config=threads)
    runner, loop = InMemoryRunner(agent=agent, app_name="peer"), asyncio.Runner()
    message = Content(role="user", parts=[Part(text="go")])

    async def run() -> None:
        session = await runner.session_service.create_session(app_name="peer", user_id="user")
        asked: Any = {"session_id": session.id, "new_message": message, "run_config": config}
        async for _ in runner.run_async(user_id="user", **asked):
            pass

    return lambda: loop.run(run())


def llm_compiler_pack(setup: Setup) -> Run:
    """LlamaIndex's agent pack of LLMCompiler, from its last release: a plan, then the joiner's verdict."""
    from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
    from llama_index.core.tools import FunctionTool
    from llama_index.packs.agents_llm_compiler import LLMCompilerAgentPack

    class Scripted(CustomLLM):
        @property
        def metadata(self) -> Any:
            return LLMMetadata()

        def complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
            calls = setup.script.request(prompt)
            finished = "Thought: done\nAction: Finish(done)"
            return CompletionResponse(
                text=_plan(calls, "{value!r}", "join()<END_OF_PLAN>") if calls else finished
            )

        def stream_complete(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    _unlimited(setup)
    tools = [FunctionTool.from_defaults(function) for function in setup.functions]
    pack = LLMCompilerAgentPack(tools=tools, llm=Scripted())

    def run() -> object:
        pack.agent.reset()
        return pack.run("go")

    return run


def llmcompiler(setup: Setup) -> Run:
    """The package ``llmcompiler``: LLMCompiler on LangGraph."""
    from langchain_core.tools import tool
    from llmcompiler.chat.run import RunLLMCompiler
    from llmcompiler.result.chat import ChatRequest

    def reply(text: str) -> tuple[str, list[Any]]:
        calls = setup.script.request(text)
        finished = '{"_thought_": "done", "_finish_": "done"}'
        return _plan(calls, "{name}={value!r}", "join() <END_OF_PLAN>") if calls else finished, []

    _unlimited(setup)
    tools, model = [tool(function) for function in setup.functions], _chat_model(reply)

    def run() -> object:
        return RunLLMCompiler(ChatRequest(message="go"), tools, model, print_graph=False)()

    return run


def _plan(calls: Sequence[Call], argument: str, end: str) -> str:
    """The calls as LLMCompiler writes them, their arguments by position or by name."""
    lines = []
    for number, call in enumerate(calls, start=1):
        given = ", ".join(argument.format(name=name, value=value) for name, value in call.arguments.items())
        lines.append(f"{number}. {call.function}({given})")
    return "\n".join([*lines, f"{len(calls) + 1}. {end}"])


@dataclass(frozen=True)
class Peer:
    """An executor: its adapter, and the package that brings it; ours needs none.

    ``options`` names, for a column, the setting with which it is measured once more.
    ``limit`` is what the executor calls a time limit of a call, where that is not what it says.
    """

    adapter: Callable[[Setup], Run]
    package: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    limit: str = ""

    @property
    def version(self) -> str:
        """The version that is installed."""
        return ours.version() if self.package is None else version(self.package.split("==")[0])


_POOL, _WHOLE = "a pool of 40 threads", "the whole run's timeout"
_LANGCHAIN = {"sleep": "max_concurrency=40", "failure": "ToolErrorMiddleware", "timeout": "ainvoke"}
_PYDANTIC = {"order": "sequential=True for write", "failure": "a tool_execute_error hook"}
_GOOGLE = {"sleep": _POOL, "order": _POOL, "failure": "on_tool_error_callback", "timeout": _POOL}
PEERS: Mapping[str, Peer] = {
    "llmorch": Peer(ours.planned, options={"failure": "a model that names no other call"}),
    "llmorch parallel": Peer(ours.parallel),
    "langchain": Peer(langchain, "langchain==1.4.7", _LANGCHAIN, "step_timeout"),
    "openai-agents": Peer(openai_agents, "openai-agents==0.24.0"),
    "pydantic-ai": Peer(pydantic_ai, "pydantic-ai-slim==2.68.0", _PYDANTIC),
    "smolagents": Peer(smolagents, "smolagents==1.26.0", {"sleep": "max_tool_threads=40"}),
    "llama-index": Peer(llama_index, "llama-index-core==0.14.25", limit=_WHOLE),
    "strands-agents": Peer(strands, "strands-agents==1.62.0"),
    "google-adk": Peer(google_adk, "google-adk==2.13.0", _GOOGLE, _WHOLE),
    "llama-index llm-compiler": Peer(llm_compiler_pack, "llama-index-packs-agents-llm-compiler==0.3.1"),
    "llmcompiler": Peer(llmcompiler, "llmcompiler==2.0.1"),
}
