"""Google's Agent Development Kit: an ``LlmAgent`` in an ``InMemoryRunner``."""

# mypy: disable-error-code="import-not-found,misc"
# The packages are in the peer's environment, not in the project's.

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, ToolThreadPoolConfig
from google.adk.models import BaseLlm, LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai.types import Content, FunctionCall, Part

from benchmarks.peers.columns import Script, Setup, main

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class Scripted(BaseLlm):
    """A model that says what the script says."""

    script: Any = None

    async def generate_content_async(
        self, llm_request: Any, stream: bool = False
    ) -> AsyncGenerator[Any, None]:
        """The script's calls, then its answer."""
        script: Script = self.script
        calls = script.request("".join(content.model_dump_json() for content in llm_request.contents))
        asked = [
            Part(function_call=FunctionCall(name=call.function, args=call.arguments, id=call.id))
            for call in calls
        ]
        yield LlmResponse(content=Content(role="model", parts=asked or [Part(text="done")]))


def adapter(setup: Setup) -> Callable[[], object]:
    """Everything by default; with the option, a callback for ``failure``, and threads for the others.

    A time limit is only offered for the whole run of an agent.
    """
    failures = setup.option and setup.column == "failure"
    agent = LlmAgent(
        name="peer",
        model=Scripted(model="scripted", script=setup.script),
        tools=list(setup.functions),
        timeout=setup.limit,
        on_tool_error_callback=_told if failures else None,
    )
    threads = ToolThreadPoolConfig(max_workers=40) if setup.option and not failures else None
    config = RunConfig(tool_thread_pool_config=threads)
    runner = InMemoryRunner(agent=agent, app_name="peer")
    message = Content(role="user", parts=[Part(text="go")])

    async def run() -> None:
        session = await runner.session_service.create_session(app_name="peer", user_id="user")
        events = runner.run_async(
            user_id="user", session_id=session.id, new_message=message, run_config=config
        )
        async for _ in events:
            pass

    loop = asyncio.Runner()
    return lambda: loop.run(run())


def _told(tool: Any, args: Any, tool_context: Any, error: Exception) -> dict[str, str]:
    return {"error": str(error)}


if __name__ == "__main__":
    main(adapter, version("google-adk"))
