"""LLMOrch as a peer: a plan of the calls, and at its end ``self``, to which their results go; or one batch of them.

``DECLARED`` is where what is said of each function stands, and nowhere else.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from benchmarks.peers import tasks
from benchmarks.peers.columns import PROCESSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.peers.columns import Call, Setup

DECLARED: Mapping[Callable[..., Any], Mapping[str, Any]] = {
    tasks.burn: {"kind": "compute", "pure": True},
    tasks.doze: {"kind": "inout", "pure": True},
    tasks.write: {"kind": "inout", "writes": ["file:{path}"]},
    tasks.read: {"kind": "inout", "reads": ["file:{path}"]},
    tasks.step: {"kind": "inout", "pure": True},
    tasks.late: {"kind": "compute"},  # a thread can't be stopped, and a timeout there is refused
}

OTHER = 0
"""The number of a ``step`` that can be done in place of the one that can't."""
_FAILED = re.compile(r"^Repair: (?P<id>\w+) = step\(", re.MULTILINE)


class UnansweredError(Exception):
    """The run came to no answer; its message is the result's."""


def planned(setup: Setup) -> Callable[[], object]:
    """The default technique: the calls as a plan.

    Where a call fails, the executor asks for another one in its place, as a part of its one plan. The model
    names one, as models do that are asked; with the option it doesn't.
    """
    return _running(setup, "llmorch", _plan, "done")


def parallel(setup: Setup) -> Callable[[], object]:
    """The technique ``parallel``: the same calls in one turn, as other executors get them."""
    return _running(setup, "parallel", _batch, "Answer: done")


def version() -> str:
    """Ours."""
    import llmorch

    return llmorch.__version__


def _running(
    setup: Setup, technique: str, written: Callable[[Sequence[Call]], str], answer: str
) -> Callable[[], object]:
    """An orchestrator whose model writes the script's calls, and then the answer, as the technique wants them.

    A run that is not answered raises, as other executors do.
    """
    from llmorch import Orchestrator, function
    from llmorch.testing import ScriptedModel

    def reply(request: Any) -> str:
        failed = _FAILED.search(request.messages[-1].text)
        if failed and not setup.option:
            return f"{failed['id']} = step(number={OTHER})"
        calls = setup.script.request(repr(request))
        return written(calls) if calls else answer

    orchestrator = Orchestrator(
        [function(**DECLARED[item], timeout=setup.limit)(item) for item in setup.functions],
        model=ScriptedModel(reply),
        technique=technique,
        processors=PROCESSES,
        optimize=False,
        learn=False,
    )

    async def run() -> object:
        result = await orchestrator.run("go")
        if result.status != "answered":
            setup.script.left = repr([call.result for call in result.calls])
            raise UnansweredError(result.error)
        return result.answer

    runner = asyncio.Runner()
    return lambda: runner.run(run())


def _plan(calls: Sequence[Call]) -> str:
    """A plan of the calls, whose last one gets all results."""
    lines = [f"{call.id} = {text}" for call, text in zip(calls, _batch(calls).splitlines(), strict=True)]
    results = " ".join(f"{{{call.id}}}" for call in calls)
    return "\n".join([*lines, f'answer = self(prompt="{results}")'])


def _batch(calls: Sequence[Call]) -> str:
    """The calls alone, one a line."""
    lines = []
    for call in calls:
        arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
        lines.append(f"{call.function}({arguments})")
    return "\n".join(lines)
