"""Plans executed for the clock: a failed call ends the benchmark, it is no latency."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from llmorch import Orchestrator
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmorch import Result


class Execute(Protocol):
    """Runs a plan on an orchestrator and a loop that stay the same."""

    def __call__(self, plan: str, **options: Any) -> tuple[Result, float]:
        """The result, and the seconds that all of ``execute`` took."""


@contextmanager
def executing(functions: list[Callable[..., Any]], *, processors: int = 2) -> Iterator[Execute]:
    """An orchestrator to run plans on, each call of them as it stands; closed at the end."""
    orchestrator = Orchestrator(functions, model=ScriptedModel([]), processors=processors, optimize=False)

    async def timed(plan: str, options: dict[str, Any]) -> tuple[Result, float]:
        began = perf_counter()
        result = await orchestrator.execute(plan, **options)
        return result, perf_counter() - began

    with asyncio.Runner() as runner:

        def execute(plan: str, **options: Any) -> tuple[Result, float]:
            result, seconds = runner.run(timed(plan, options))
            answered(result)
            return result, seconds

        try:
            yield execute
        finally:
            runner.run(orchestrator.close())


def answered(result: Result) -> None:
    """Raise unless every call completed."""
    if result.status != "answered" or any(call.status != "completed" for call in result.calls):
        raise RuntimeError(f"a plan of the benchmark failed: {result.error}")
