"""The virtual-clock twin of the driver: any number of processors, no waiting.

It runs the same core as ``drive`` and takes durations instead of running functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from llmorch.relations import lower_bound
from llmorch.schedule import CallCompleted, CallFailed, Dispatch, Orchestration, PlanExtended, policy_named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llmorch.calls import CallId, Plan
    from llmorch.functions import Function
    from llmorch.relations import RelationGraph
    from llmorch.schedule import CallState, Command


@dataclass(frozen=True)
class Simulation:
    """What a plan's execution would be: times in seconds from its start."""

    processors: int
    policy: str
    makespan: float
    lower_bound: float
    states: Mapping[CallId, CallState]
    graph: RelationGraph
    commands: tuple[Command, ...]
    """Everything the core ordered, in order."""


def simulate(
    plan: Plan,
    functions: Mapping[str, Function],
    durations: Mapping[str, float],
    *,
    processors: int,
    policy: str = "critical",
    failing: Collection[CallId] = (),
) -> Simulation:
    """Run a checked plan on a virtual clock.

    ``durations`` are seconds by call id or, for all its calls, by function name; a call
    of neither takes no time. The calls in ``failing`` fail when their time is over.
    """
    seconds = {call.id: durations.get(call.id, durations.get(call.function, 0.0)) for call in plan}
    core = Orchestration(functions, processors=processors, policy=policy_named(policy), durations=seconds)
    now = 0.0
    ends: list[tuple[float, int, Dispatch]] = []
    history: list[Command] = []
    commands = core.handle(PlanExtended(plan.calls, complete=True), at=now)
    while True:
        for command in commands:
            history.append(command)
            if isinstance(command, Dispatch):
                heappush(ends, (now + seconds[command.call], len(history), command))
        if not ends:
            break
        now, _, ended = heappop(ends)
        failed = ended.call in failing
        event = (
            CallFailed(ended.call, ended.attempt, "made to fail")
            if failed
            else CallCompleted(ended.call, ended.attempt)
        )
        commands = core.handle(event, at=now)
    bound = lower_bound(core.graph, seconds, processors)
    return Simulation(processors, policy, now, bound, core.states, core.graph, tuple(history))
