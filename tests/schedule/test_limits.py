"""Limits that calls share, on the virtual clock: never exceeded, and nobody waits for ever."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmorch import PlanError, function
from llmorch.declare.offered import as_functions
from llmorch.declare.resources import Supply
from llmorch.plan import check, parse
from llmorch.runtime.simulate import simulate
from llmorch.schedule import (
    POLICIES,
    Alone,
    CallCompleted,
    CallStopped,
    Cancel,
    Dispatch,
    Orchestration,
    PlanExtended,
    PlanRevised,
    TimePassed,
    Wake,
    policy_named,
)
from tests.faults.mixes import crowded, exceeded, overtaken, packable, random_mix, speedup, waiting

GIB = 2**30
policies = st.sampled_from(sorted(POLICIES))
seeds = st.integers(0, 2**32)


@function(resources={"gpu_memory": "6GiB"})
def small(x: int = 0, after: object = None) -> None: ...


@function(resources={"gpu_memory": "20GiB"})
def large(x: int = 0) -> None: ...


@function(resources={"cpu": 2})
def wide(x: int = 0) -> None: ...


@function(kind="compute")
def narrow(x: int = 0, after: object = None) -> None: ...


@function(resources={"camera": 1})
def look(x: int = 0, after: object = None) -> None: ...


@function(resources={"camera": 1, "cpu": 1})
def film(x: int = 0) -> None: ...


@function(max_concurrency=2)
def ask(x: int = 0) -> None: ...


@function(rate="3/s")
def ping(x: int = 0) -> None: ...


FUNCTIONS = as_functions([small, large, wide, narrow, look, film, ask, ping])
ONE_GPU = {"gpu_memory": "24GiB", "camera": 1}


def run_of(lines: list[str], *, processors: int = 8, seconds=None, resources=None, policy: str = "critical"):
    plan = check(parse("\n".join(lines)), FUNCTIONS)
    return simulate(
        plan,
        FUNCTIONS,
        seconds or {call.id: 1.0 for call in plan},
        processors=processors,
        policy=policy,
        resources=ONE_GPU if resources is None else resources,
        optimize=False,
    )


def core_with(lines: list[str], *, processors: int = 2, supply: Supply | None = None) -> Orchestration:
    core = Alone(
        FUNCTIONS,
        processors=processors,
        policy=policy_named("critical"),
        supply=supply or Supply({"camera": 1}, (24 * GIB,)),
    )
    core.handle(PlanExtended(check(parse("\n".join(lines)), FUNCTIONS).calls, complete=True), at=0.0)
    return core


@given(seed=seeds, policy=policies)
def test_no_limit_is_ever_exceeded_and_every_call_runs(seed: int, policy: str) -> None:
    mix = random_mix(random.Random(seed))
    run = mix.simulated(policy)
    assert exceeded(mix, run) == []
    assert waiting(run) == []
    assert run.makespan >= run.lower_bound * (1 - 1e-9)


@given(seed=seeds, policy=policies)
@settings(max_examples=50)
def test_a_mix_is_simulated_alike_twice(seed: int, policy: str) -> None:
    first, second = (random_mix(random.Random(seed)).simulated(policy) for _ in range(2))
    assert first.commands == second.commands


@given(seed=seeds, policy=st.sampled_from(["critical", "greedy"]))
@settings(max_examples=40, deadline=None)
def test_a_large_call_is_not_starved_by_small_ones(seed: int, policy: str) -> None:
    mix, call = crowded(random.Random(seed))
    # Those of the first moment may begin before it waits at all.
    assert overtaken(mix.simulated(policy), call) <= 12


@pytest.mark.parametrize("policy", ["critical", "greedy"])
def test_a_call_that_needs_two_things_is_not_starved_by_calls_that_each_take_one(policy: str) -> None:
    """They never become free at the same time by themselves."""
    chains = [("look", "l", 1.0), *(("narrow", f"n{at}", 0.7 + at / 10) for at in range(2))]
    lines, seconds = [], {"big": 1.0}
    for name, chain, time in chains:
        for at in range(100):
            uses = f"after={chain}_{at - 1}" if at else ""
            lines.append(f"{chain}_{at} = {name}({uses})")
            seconds[f"{chain}_{at}"] = time
    lines.append("big = film()")
    run = run_of(lines, processors=2, seconds=seconds, policy=policy)
    assert run.states["big"].dispatched < 20


def test_two_small_calls_share_a_gpu_and_a_large_one_has_it_to_itself() -> None:
    run = run_of(["s1 = small()", "s2 = large()", "s3 = small()"])
    begun = {call: state.dispatched for call, state in run.states.items()}
    assert begun["s1"] == begun["s3"] != begun["s2"]
    assert {state.lease.device for state in run.states.values()} == {0}
    assert run.makespan == 2.0


@given(seed=seeds)
@settings(max_examples=20)
def test_packing_a_gpu_is_much_faster_than_one_call_at_a_time(seed: int) -> None:
    assert speedup(packable()) >= 1.5
    chance = random.Random(seed)
    rates = [speedup(packable(chance)) for _ in range(10)]
    assert sum(rates) / len(rates) >= 1.5


def test_a_call_gets_the_fullest_gpu_with_room_so_that_a_large_one_still_fits() -> None:
    lines = ["s1 = small(x=1)", "s2 = small(x=2)", "s3 = large()"]
    run = run_of(lines, resources={"gpu_memory": ["24GiB", "12GiB"]}, policy="greedy")
    assert [state.lease.device for state in run.states.values()] == [1, 1, 0]
    assert run.makespan == 1.0


def test_a_call_of_two_processors_takes_both() -> None:
    run = run_of(["s1 = wide()", "s2 = narrow()", "s3 = wide(x=1)"], processors=3)
    assert run.states["s1"].lease.processors == (0, 1)
    assert run.states["s2"].lease.processors == (2,)
    assert run.makespan == 2.0
    assert run.lower_bound == pytest.approx(5 / 3)


def test_calls_at_once_and_calls_a_second_are_limited() -> None:
    asked = run_of([f"s{at} = ask(x={at})" for at in range(1, 6)])
    assert [state.dispatched for state in asked.states.values()] == [0, 0, 1, 1, 2]
    pinged = run_of([f"s{at} = ping(x={at})" for at in range(1, 8)], seconds={"ping": 0.25})
    assert [state.dispatched for state in pinged.states.values()] == [0, 0, 0, 1, 1, 1, 2]
    assert pinged.makespan == 2.25


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_call_that_needs_more_than_there_is_is_refused(policy: str) -> None:
    with pytest.raises(PlanError, match=r"large can't be called here: it needs 20 GiB .* there is 8 GiB"):
        run_of(["s1 = large()"], resources={"gpu_memory": "8GiB"}, policy=policy)


def test_a_rate_comes_back_when_its_time_is_over_however_short_the_call_was() -> None:
    core = Alone(FUNCTIONS, processors=1, policy=policy_named("critical"))
    plan = check(parse("\n".join(f"s{at} = ping(x={at})" for at in range(1, 6))), FUNCTIONS)
    commands = core.handle(PlanExtended(plan.calls, complete=True), at=0.0)
    assert commands == [*(Dispatch(f"s{at}", 1, None) for at in (1, 2, 3)), Wake(1.0)]
    assert core.handle(CallCompleted("s1", 1), at=0.1) == []
    assert core.handle(TimePassed(), at=0.75) == [Wake(0.25)]  # too early
    assert core.handle(TimePassed(), at=1.0) == [Dispatch("s4", 1, None), Dispatch("s5", 1, None)]


def test_what_a_cancelled_call_holds_is_free_only_once_it_has_stopped() -> None:
    core = core_with(["s1 = look(x=1)"])
    core.handle(PlanRevised(), at=1.0)
    plan = check(parse("s2 = look(x=2)"), FUNCTIONS)
    assert core.handle(PlanExtended(plan.calls, complete=True), at=1.0) == [Cancel("s1", 1)]
    assert core.handle(CallStopped("s1", 1), at=1.5) == [Dispatch("s2", 1, None)]


def test_a_processor_stays_in_use_while_a_call_that_needs_it_waits_for_something_else() -> None:
    """A camera held for long doesn't idle a processor for the call that waits for both."""
    lines = ["s0 = look(x=9)", "big = film()", *(f"s{at} = narrow(x={at})" for at in range(1, 101))]
    seconds = {"s0": 45.0, "big": 1.0, "narrow": 1.0}
    run = run_of(lines, processors=2, seconds=seconds, policy="greedy")
    assert sum(state.dispatched < 44 for call, state in run.states.items() if call != "s0") >= 87
    assert run.states["big"].dispatched <= 46
