"""Many runs on one set of processors, on a virtual clock: fair, within every limit, and none for ever waiting."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmorch import check, function, parse
from llmorch.declare.offered import as_functions
from llmorch.declare.resources import Supply, supply_of
from llmorch.relations import touches
from llmorch.schedule import (
    POLICIES,
    CallAdded,
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallStopped,
    Cancel,
    CancelRequested,
    Core,
    Dispatch,
    Finish,
    PlanExtended,
    TimePassed,
    Wake,
    policy_named,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch import Function
    from llmorch.schedule import Event, Orchestration


@function(kind="compute", pure=True)
def crunch(after: list[Any] = []) -> None: ...  # noqa: B006


@function(pure=True)
async def look(after: list[Any] = []) -> None: ...  # noqa: B006


@function(resources={"camera": 1}, pure=True)
async def film(after: list[Any] = []) -> None: ...  # noqa: B006


@function(max_concurrency=2, pure=True)
async def ask(after: list[Any] = []) -> None: ...  # noqa: B006


@function(rate="3/s", pure=True)
async def ping(after: list[Any] = []) -> None: ...  # noqa: B006


@function(kind="compute", resources={"cpu": 2, "gpu_memory": "6GiB"}, pure=True)
def wide(after: list[Any] = []) -> None: ...  # noqa: B006


FUNCTIONS = as_functions([crunch, look, film, ask, ping, wide])
THERE = supply_of({"camera": 1, "gpu_memory": ["8GiB", "12GiB"]})


@dataclass
class Clock:
    """A driver of many runs whose time is a number."""

    core: Core
    seconds: Mapping[tuple[int, str], float] = field(default_factory=dict)
    now: float = 0.0
    coming: list[tuple[float, int, Orchestration, Event]] = field(default_factory=list)
    begun: list[tuple[float, int, Dispatch]] = field(default_factory=list)
    finished: dict[int, float] = field(default_factory=dict)
    number: int = 0

    def handle(self, run: Orchestration, event: Event) -> None:
        for other, commands in self.core.handle(run, event, at=self.now):
            name = other.account.number
            for command in commands:
                if isinstance(command, Dispatch):
                    self.begun.append((self.now, name, command))
                    took = self.seconds.get((name, command.call), 1.0)
                    self.later(other, took, CallCompleted(command.call, command.attempt))
                elif isinstance(command, Cancel):
                    self.later(other, 0.3, CallStopped(command.call, command.attempt))
                elif isinstance(command, Wake):
                    self.later(other, command.after, TimePassed())
                elif isinstance(command, Finish):
                    self.finished[name] = self.now

    def later(self, run: Orchestration, seconds: float, event: Event) -> None:
        self.number += 1
        heappush(self.coming, (self.now + seconds, self.number, run, event))

    def play(self) -> None:
        while self.coming:
            self.now, _, run, event = heappop(self.coming)
            self.handle(run, event)

    def start(
        self, lines: Sequence[str], functions: Mapping[str, Function] = FUNCTIONS, **said: Any
    ) -> Orchestration:
        said = {"policy": policy_named("critical"), **said}
        run = self.core.open(functions, **said)
        run.began = self.now
        plan = check(parse("\n".join(lines)), functions)
        self.later(run, 0.0, PlanExtended(plan.calls, complete=True))
        return run


def crunches(count: int) -> list[str]:
    return [f"s{at} = crunch()" for at in range(1, count + 1)]


def test_the_calls_of_many_runs_begin_as_long_as_there_are_processors() -> None:
    clock = Clock(Core(2))
    for _ in range(3):
        clock.start(crunches(1))
    clock.play()
    assert [(at, run, command.processor) for at, run, command in clock.begun] == [
        (0, 1, 0),
        (0, 2, 1),
        (1, 3, 0),
    ]


def test_a_run_that_has_used_least_goes_first() -> None:
    clock = Clock(Core(1))
    clock.start(crunches(4))
    clock.start(crunches(2))
    clock.play()
    assert [run for _, run, _ in clock.begun] == [1, 2, 1, 2, 1, 1]


def test_a_run_of_twice_the_priority_gets_twice_as_much() -> None:
    clock = Clock(Core(1))
    clock.start(crunches(60), priority=2.0)
    clock.start(crunches(60))
    clock.play()
    assert Counter(run for _, run, _ in clock.begun[:30]) == {1: 20, 2: 10}


def test_what_a_run_used_while_nobody_waited_does_not_count_against_it() -> None:
    clock = Clock(Core(1))
    first = clock.start(crunches(50))
    clock.later(first, 20.25, TimePassed())
    while clock.now < 20.25:
        clock.now, _, run, event = heappop(clock.coming)
        clock.handle(run, event)
    clock.start(crunches(10))
    clock.play()
    since = [run for at, run, _ in clock.begun if at > 20.25][:10]
    assert Counter(since) == {1: 5, 2: 5}


def test_a_short_run_beside_a_long_one_ends_within_a_call_and_twice_its_own_time() -> None:
    clock = Clock(Core(2))
    clock.start(crunches(100))
    clock.now = 5.5
    began = clock.now
    clock.later(clock.start(crunches(4)), 0.0, TimePassed())
    clock.play()
    assert clock.finished[2] - began <= 1.0 + 2 * (4 / 2)


@given(
    runs=st.integers(1, 6), calls=st.integers(1, 12), processors=st.integers(1, 4), seed=st.integers(0, 2**32)
)
@settings(max_examples=200)
def test_a_run_among_k_equal_ones_takes_at_most_k_times_its_time_alone_and_one_call(
    runs: int, calls: int, processors: int, seed: int
) -> None:
    chance = random.Random(seed)
    took = {f"s{at}": chance.uniform(0.1, 2.0) for at in range(1, calls + 1)}
    alone = Clock(Core(processors), {(1, call): seconds for call, seconds in took.items()})
    alone.start(crunches(calls))
    alone.play()
    together = Clock(
        Core(processors),
        {(run, call): seconds for run in range(1, runs + 1) for call, seconds in took.items()},
    )
    for _ in range(runs):
        together.start(crunches(calls))
    together.play()
    assert set(together.finished) == set(range(1, runs + 1))
    assert max(together.finished.values()) <= runs * alone.finished[1] + max(took.values()) + 1e-9


def test_no_run_waits_for_ever_beside_runs_that_come_and_come() -> None:
    clock = Clock(Core(1))
    clock.start(crunches(20))
    for at in range(400):  # a new one each half second, of half a second
        run = clock.start(crunches(1))
        clock.seconds = {**clock.seconds, (run.account.number, "s1"): 0.5}
        event = clock.coming.pop(next(i for i, one in enumerate(clock.coming) if one[2] is run))
        clock.later(run, at * 0.5, event[3])
    clock.play()
    # Two runs want the processor at any time: the first gets about half of it.
    assert clock.finished[1] < 45


def random_runs(chance: random.Random) -> tuple[Clock, list[Orchestration]]:
    core = Core(chance.randint(2, 3), THERE)
    clock = Clock(core)
    runs = []
    for number in range(chance.randint(1, 5)):
        names = [f"s{at}" for at in range(1, chance.randint(1, 8) + 1)]
        lines = []
        for at, name in enumerate(names):
            used = [other for other in names[:at] if chance.random() < 0.2]
            lines.append(f"{name} = {chance.choice(sorted(FUNCTIONS))}(after=[{', '.join(used)}])")
            clock.seconds = {**clock.seconds, (number + 1, name): chance.choice((0.1, 0.5, 1.0, 4.0))}
        policy = policy_named(chance.choice(sorted(POLICIES)))
        runs.append(clock.start(lines, policy=policy, priority=chance.choice((0.5, 1.0, 3.0))))
        if chance.random() < 0.2:
            clock.later(runs[-1], chance.uniform(0, 5), CancelRequested())
    return clock, runs


def check_limits(clock: Clock, runs: Sequence[Orchestration]) -> None:
    """Whatever was held at any time, by calls of all runs, was there."""
    changes: list[tuple[float, int, str, int]] = []
    begins: list[float] = []
    for run in runs:
        for state in run.states.values():
            if state.dispatched is None:
                continue
            assert state.completed is not None
            name = state.call.function
            begun, ended = state.dispatched + run.began, state.completed + run.began
            if name == "ping":
                begins.append(begun)
            held = {"camera": int(name == "film"), "ask": int(name == "ask")}
            held |= {f"processor {one}": 1 for one in state.lease.processors if name in ("crunch", "wide")}
            if state.lease.device is not None:
                held[f"gpu {state.lease.device}"] = 6
            if state.status == "completed":
                changes += [(begun, 1, what, amount) for what, amount in held.items() if amount]
                changes += [(ended, 0, what, -amount) for what, amount in held.items() if amount]
    most = {"camera": 1, "ask": 2, "gpu 0": 8, "gpu 1": 12}
    total: Counter[str] = Counter()
    for _, _, what, amount in sorted(changes):
        total[what] += amount
        assert total[what] <= most.get(what, 1), what
    begins.sort()
    assert all(later - first >= 1 - 1e-9 for first, later in zip(begins, begins[3:], strict=False))


MIXES = 500
"""More, 10,000 of them, by ``LLMORCH_MIXES=10000``."""


@pytest.mark.parametrize("part", range(5))
def test_limits_hold_over_all_runs_and_every_run_ends(part: int) -> None:
    import os

    for seed in range(int(os.environ.get("LLMORCH_MIXES", MIXES)) // 5):
        chance = random.Random(part * 1_000_000 + seed)
        clock, runs = random_runs(chance)
        clock.play()
        assert set(clock.finished) == {run.account.number for run in runs}
        check_limits(clock, runs)
        for run in runs:
            assert run.cancelled or {state.status for state in run.states.values()} == {"completed"}
            clock.core.close(run)
        assert clock.core.coordinator.held == {}
        assert not clock.core.coordinator.stopping


def test_a_limit_is_that_of_a_function_and_not_of_its_name() -> None:
    def made() -> Mapping[str, Function]:
        @function(name="one", max_concurrency=1, pure=True)
        async def one() -> None: ...

        return as_functions([one])

    mine, other = made(), made()
    clock = Clock(Core(1))
    for functions in (mine, mine, other):
        clock.start(["s1 = one()"], functions)
    clock.play()
    assert [(at, run) for at, run, _ in clock.begun] == [(0, 1), (0, 3), (1, 2)]


def test_what_a_run_leaves_behind_that_has_to_stop_is_held_until_it_has() -> None:
    clock = Clock(Core(1, Supply({"camera": 1})))
    functions = as_functions([film])
    first = clock.start(["s1 = film()"], functions)
    clock.start(["s1 = film()"], functions)
    clock.later(first, 0.5, CancelRequested())
    while clock.coming and clock.now < 0.5:
        clock.now, _, run, event = heappop(clock.coming)
        clock.handle(run, event)
    clock.core.close(first)
    assert len(clock.begun) == 1
    clock.play()
    assert [at for at, _, _ in clock.begun] == [0.0, 0.8]


def added(
    core: Core, run: Orchestration, name: str, text: str, functions: Mapping[str, Function]
) -> list[Any]:
    (call,) = check(parse(f"{name} = {text}"), functions).calls
    return core.handle(run, CallAdded(call, touches(functions[call.function], call)), at=0.0)


@function(writes=["thing:{name}"])
async def write(name: str) -> None: ...


@function(reads=["thing:{name}"])
async def read(name: str) -> None: ...


THINGS = as_functions([write, read])


def test_calls_that_are_added_begin_at_once_and_keep_the_order_of_their_effects() -> None:
    core = Core(1)
    run = core.open(THINGS, policy=policy_named("critical"))
    assert added(core, run, "c1", "write(name='a')", THINGS) == [(run, [Dispatch("c1", 1, None)])]
    assert added(core, run, "c2", "read(name='a')", THINGS) == [(run, [])]
    assert added(core, run, "c3", "read(name='b')", THINGS) == [(run, [Dispatch("c3", 1, None)])]
    ended = core.handle(run, CallFailed("c1", 1, "no disk"), at=1.0)
    assert ended == [(run, [Dispatch("c2", 1, None)])]  # whoever added it hears of the failure, and decides


def test_what_has_ended_is_forgotten() -> None:
    core = Core(1)
    run = core.open(THINGS, policy=policy_named("critical"))
    for at in range(5):
        added(core, run, f"c{at}", "write(name='a')", THINGS)
    for at in range(5):
        core.handle(run, CallCompleted(f"c{at}", 1), at=1.0)
        run.forget(f"c{at}")
    assert (len(run.graph), run.states) == (0, {})


def test_an_added_call_that_is_cancelled_lets_the_others_by() -> None:
    core = Core(1)
    run = core.open(THINGS, policy=policy_named("critical"))
    added(core, run, "c1", "write(name='a')", THINGS)
    added(core, run, "c2", "write(name='a')", THINGS)
    added(core, run, "c3", "read(name='a')", THINGS)
    assert core.handle(run, CallCancelled("c2", 1), at=1.0) == [(run, [])]
    assert core.handle(run, CallCancelled("c1", 1), at=1.0) == [(run, [Dispatch("c3", 1, None)])]
