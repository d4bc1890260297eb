"""What a plan will probably take, before anything of it is run: calls, time, tokens, money.

Nothing is measured here: times are simulated, with the medians of earlier calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmorch.learned import Estimate
from llmorch.plan import render
from llmorch.relations import unused
from llmorch.requests import Usage
from llmorch.runtime.simulate import simulate
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Plan
    from llmorch.declare.functions import Function, Kind
    from llmorch.declare.resources import Supply
    from llmorch.learned import Learned

_A_MILLION = 1_000_000
_NOTHING = Estimate(0.0)
"""Of a call that isn't executed."""


@dataclass(frozen=True)
class ForecastCall:
    """One call of a plan; ``seconds`` is the median of ``samples`` earlier calls of its function.

    Without any, it is ``None``. The same holds of what a call asks of the model. One that is
    the same as another call, or ``unused``, isn't executed, and takes nothing.
    """

    __repr__ = short

    id: CallId
    function: str
    kind: Kind
    rank: int
    uses: tuple[CallId, ...]
    seconds: float | None
    samples: int
    asks_model: bool
    requests: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    same_as: CallId | None = None
    unused: bool = False

    @property
    def executed(self) -> bool:
        """Whether it is executed itself."""
        return self.same_as is None and not self.unused


@dataclass(frozen=True)
class Forecast:
    """What a plan will probably take. Times in seconds from the start of execution.

    A call of which nothing is known counts as nothing, so that ``makespan``, ``usage`` and
    ``cost`` are then the least that it will come to; ``unknown`` and ``unknown_usage`` name
    those calls. ``usage`` is what the model is asked in all: for the plan, which ``planning``
    has been asked already, and by the plan's calls; ``after`` is what the technique usually
    asks after its plan, if that is known. ``prices`` are those of a million tokens, in and
    out; without them there is no ``cost``.
    """

    __repr__ = short

    plan: Plan
    policy: str
    processors: int
    calls: tuple[ForecastCall, ...]
    makespan: float
    lower_bound: float
    unknown: tuple[CallId, ...]
    unknown_usage: tuple[CallId, ...]
    planning: Usage
    after: Usage | None
    usage: Usage
    prices: tuple[float, float] | None = None

    @property
    def cost(self) -> float | None:
        """What the model's tokens cost, in the currency of the prices."""
        if self.prices is None:
            return None
        price_in, price_out = self.prices
        return (self.usage.input_tokens * price_in + self.usage.output_tokens * price_out) / _A_MILLION

    def as_json(self) -> dict[str, Any]:
        """The forecast as the command line's ``--json`` prints it."""
        return {
            "plan": render(self.plan),
            "policy": self.policy,
            "processors": self.processors,
            "makespan": round(self.makespan, 6),
            "lower_bound": round(self.lower_bound, 6),
            "unknown": list(self.unknown),
            "unknown_usage": list(self.unknown_usage),
            "planning": _asked(self.planning),
            "after": None if self.after is None else _asked(self.after),
            "usage": _asked(self.usage),
            "cost": None if self.cost is None else round(self.cost, 6),
            "calls": [{**vars(call), "uses": list(call.uses)} for call in self.calls],
        }


def forecast(
    plan: Plan,
    functions: Mapping[str, Function],
    learned: Learned,
    names: Mapping[str, str],
    *,
    processors: int,
    policy: str,
    supply: Supply,
    optimize: bool,
    all_made: bool,
    planning: Usage,
    after: Estimate | None,
    prices: tuple[float, float] | None = None,
) -> Forecast:
    """Foretell a checked plan.

    ``names`` is what each function is known as to ``learned``. With ``all_made`` no call is left out.
    ``prices`` are those of a million tokens, in and out.
    """
    estimates = {name: learned.estimate(known) for name, known in names.items()}
    seconds = {name: found.seconds for name, found in estimates.items() if found is not None}
    known = {call.id: seconds.get(call.function, 0.0) for call in plan}
    order = {call.id: known[call.id] for call in plan if call.function in seconds}
    run = simulate(
        plan,
        functions,
        known,
        processors=processors,
        policy=policy,
        resources=supply,
        expected=order,
        optimize=optimize,
        left_out=unused(plan, functions) if optimize and not all_made else (),
    )
    calls = []
    for call in plan:
        function, found = functions[call.function], estimates.get(call.function)
        same_as, left = run.graph.same_as(call.id), run.states[call.id].status == "unused"
        if left or same_as is not None:
            found = _NOTHING
        asked = found if function.asks_model else None
        calls.append(
            ForecastCall(
                call.id,
                call.function,
                function.kind,
                run.graph.rank(call.id),
                call.uses,
                None if found is None else found.seconds,
                0 if found is None else found.samples,
                function.asks_model,
                requests=None if asked is None else asked.requests,
                input_tokens=None if asked is None else asked.input_tokens,
                output_tokens=None if asked is None else asked.output_tokens,
                same_as=same_as,
                unused=left,
            )
        )
    later = None if after is None else _usage(after, after.seconds)
    expected = [planning, *filter(None, [later]), *map(_usage, calls)]
    usage = Usage(*map(sum, zip(*(vars(one).values() for one in expected), strict=True)))
    return Forecast(
        plan=plan,
        policy=policy,
        processors=processors,
        calls=tuple(calls),
        makespan=run.makespan,
        lower_bound=run.lower_bound,
        unknown=tuple(call.id for call in calls if call.seconds is None),
        unknown_usage=tuple(call.id for call in calls if call.asks_model and call.requests is None),
        planning=replace(planning),
        after=later,
        usage=usage,
        prices=prices,
    )


def _usage(asked: ForecastCall | Estimate, seconds: float = 0.0) -> Usage:
    """What is expected to be asked. The time of a call is in the makespan."""
    counts = (asked.requests, asked.input_tokens, asked.output_tokens)
    requests, inputs, outputs = (round(count or 0) for count in counts)
    return Usage(requests, inputs, outputs, seconds)


def _asked(usage: Usage) -> dict[str, Any]:
    return {**vars(usage), "seconds": round(usage.seconds, 6)}
