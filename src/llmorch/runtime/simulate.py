"""The virtual-clock twin of the driver: any number of processors, no waiting.

It runs the same core as ``drive`` and takes durations instead of running functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from llmorch.arguments import functions_by_name, refuse, seconds_by_name, texts, truth, whole
from llmorch.calls import Plan
from llmorch.declare.offered import fitted
from llmorch.declare.resources import Supply, supply_of
from llmorch.plan.check import check_fits
from llmorch.relations import lower_bound
from llmorch.schedule import (
    Alone,
    BatchEnded,
    CallCompleted,
    CallFailed,
    Dispatch,
    PlanExtended,
    TimePassed,
    Wake,
    policy_named,
)
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.declare.resources import Amount
    from llmorch.relations import RelationGraph
    from llmorch.schedule import CallState, Command, Event


MOST = 1_000_000
"""Processors of a machine that there is only on a virtual clock."""


@dataclass(frozen=True)
class Simulation:
    """What a plan's execution would be: times in seconds from its start."""

    __repr__ = short

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
    resources: Mapping[str, Amount | Sequence[Amount]] | Supply | None = None,
    expected: Mapping[str, float] | None = None,
    optimize: bool = True,
    left_out: Collection[CallId] = (),
) -> Simulation:
    """Run a checked plan on a virtual clock.

    Calls that are made as one take as long as the longest of them.

    ``durations`` are seconds by call id or, for all its calls, by function name; a call
    of neither takes no time. The calls in ``failing`` fail when their time is over.
    ``resources`` is what there is. With ``optimize``, identical calls are made once where they
    are declared pure; only those that are ``left_out`` aren't made at all.
    The order is made for the durations themselves, or for those that are ``expected`` where
    that is given. Raises ``PlanError`` for a call that needs more, and ``WrongArgument``.
    """
    if not isinstance(plan, Plan):
        refuse("plan", "a Plan", plan)
    functions_by_name("functions", functions)
    seconds_by_name("durations", durations)
    if expected is not None:
        seconds_by_name("expected", expected)
    whole("processors", processors, 1, MOST)
    texts("failing", failing)
    texts("left_out", left_out)
    truth("optimize", optimize)
    supply = resources if isinstance(resources, Supply) else supply_of(resources)
    known = fitted(functions, processors, supply)
    for call in plan:
        if call.function not in known:
            refuse("functions", f"what the plan was checked against, with {call.function}", list(known))
        check_fits(call, known[call.function])
    seconds = {call.id: durations.get(call.id, durations.get(call.function, 0.0)) for call in plan}
    core = Alone(
        functions,
        processors=processors,
        policy=policy_named(policy),
        supply=supply,
        durations=seconds if expected is None else expected,
        optimize=optimize,
    )
    now = makespan = 0.0
    event: Event
    coming: list[tuple[float, int, Event]] = []
    history: list[Command] = []
    commands = core.handle(PlanExtended(plan.calls, complete=True, unused=frozenset(left_out)), at=now)
    while True:
        for command in commands:
            history.append(command)
            if isinstance(command, Dispatch):
                made = ((command.call, command.attempt), *command.together)
                ended = tuple(
                    CallFailed(call, attempt, "made to fail")
                    if call in failing
                    else CallCompleted(call, attempt)
                    for call, attempt in made
                )
                longest = max(seconds[call] for call, _ in made)
                event = ended[0] if len(ended) == 1 else BatchEnded(ended)
                heappush(coming, (now + longest, len(history), event))
            elif isinstance(command, Wake):
                heappush(coming, (now + command.after, len(history), TimePassed()))
        if not coming:
            break
        now, _, event = heappop(coming)
        if not isinstance(event, TimePassed):
            makespan = now
        commands = core.handle(event, at=now)
    taken = {
        call: 0.0 if state.same_as is not None else seconds[call]
        for call, state in core.states.items()
        if state.completed is not None
    }
    parts = {call: core.parts(call) for call in taken}
    bound = lower_bound(core.graph, taken, processors, parts=parts)
    return Simulation(processors, policy, makespan, bound, core.states, core.graph, tuple(history))
