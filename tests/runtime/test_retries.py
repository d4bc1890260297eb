"""Calls that fail for a moment are made again: what may be, how often, and for how long."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch import ModelError, Orchestrator, Processors, function
from llmorch.declare.offered import as_functions, declared_in
from llmorch.plan import parse
from llmorch.runtime import retries
from llmorch.runtime.retries import MAX_PAUSE, MAX_RETRYING, next_pause, pause_after
from llmorch.testing import ScriptedModel, run_virtually
from tests.runtime.attempted import KINDS, PLACES, blocks, crashes, late, late_computing, made, waits
from tests.runtime.executing import execution_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
def place(request: pytest.FixtureRequest) -> Any:
    """A function that runs on the event loop, on a thread, or in a process."""
    return request.param


async def execute(functions: list[Any], plan: str, model: Any = None) -> Any:
    model = model or ScriptedModel([])
    async with Orchestrator(functions, model=model, processors=1) as orchestrator:
        return await orchestrator.execute(plan)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nothing tells of, such as a file of another process."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)


def plan_of(place: Any, file: Path, kinds: list[str]) -> str:
    return f"s1 = {place.__name__}(file={str(file)!r}, kinds={kinds!r})"


@pytest.mark.anyio
async def test_a_call_that_fails_for_a_moment_is_made_again_until_it_succeeds(place, tmp_path) -> None:
    file = tmp_path / "attempts"
    result = await execute([place], plan_of(place, file, ["reset", "unavailable"]))
    assert (result.answer, result.calls["s1"].attempt, made(file)) == ("attempt 3", 1, 3)
    recoveries = result.as_json()["recoveries"]
    assert [recovery["kind"] for recovery in recoveries] == ["retry", "retry"]
    assert [(item["failed"], item["again"], item["changed"]) for item in recoveries] == [
        (["s1"], ["s1"], {})
    ] * 2
    failed = f"s1 ({place.__name__}) failed:"
    assert recoveries[0]["why"].startswith(
        f"{failed} ConnectionResetError: attempt 1; made again after 0.01 s"
    )
    assert recoveries[1]["why"].startswith(f"{failed} UnavailableError: attempt 2; made again after 0.0")


@pytest.mark.anyio
async def test_the_last_error_says_how_many_attempts_there_were(place, tmp_path) -> None:
    file = tmp_path / "attempts"
    result = await execute([place], plan_of(place, file, ["reset"] * 9))
    assert result.calls["s1"].error == "ConnectionResetError: attempt 4 (after 4 attempts)"
    assert (made(file), len(result.recoveries)) == (4, 3)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["value", "exit"])
async def test_another_exception_fails_the_call_at_once(place, kind, tmp_path) -> None:
    file = tmp_path / "attempts"
    result = await execute([place], plan_of(place, file, [kind]))
    assert result.calls["s1"].error == f"{KINDS[kind].__name__}: attempt 1"
    assert (made(file), result.recoveries) == (1, ())


@pytest.mark.anyio
async def test_another_exception_ends_retrying(place, tmp_path) -> None:
    result = await execute([place], plan_of(place, tmp_path / "attempts", ["reset", "value"]))
    assert result.calls["s1"].error == "ValueError: attempt 2 (after 2 attempts)"


@pytest.mark.anyio
@pytest.mark.parametrize("place", [late, late_computing])
async def test_each_attempt_has_the_timeout_to_itself_and_running_out_of_it_is_a_timeout_error(
    place, tmp_path
) -> None:
    result = await execute([place], f"s1 = {place.__name__}(file={str(tmp_path / 'attempts')!r})")
    assert result.answer == "in time"
    assert "took longer than its timeout" in result.recoveries[0].why


@pytest.mark.anyio
async def test_a_process_that_crashes_is_an_exception_and_no_particular_one(tmp_path) -> None:
    some = function(kind="compute", name="some", retries=1, backoff=0)(crashes)
    result = await execute([some], f"s1 = some(file={str(tmp_path / 'some')!r})")
    assert (result.answer, len(result.recoveries)) == ("alive", 1)
    other = function(kind="compute", name="other", retries=1, backoff=0, retry_on=OSError)(crashes)
    result = await execute([other], f"s1 = other(file={str(tmp_path / 'other')!r})")
    assert (result.calls["s1"].error, result.recoveries) == ("other ended its process (signal SIGKILL)", ())


@pytest.mark.anyio
async def test_a_call_whose_arguments_dont_fit_is_not_made_at_all() -> None:
    calls = []

    @function(retries=3, backoff=0)
    async def double(n: int) -> int:
        calls.append(n)
        return 2 * n

    @function
    async def word() -> str:
        return "word"

    result = await execute([double, word], "s1 = word()\ns2 = double(n=s1)")
    assert result.calls["s2"].status == "failed"
    assert "attempts" not in result.calls["s2"].error
    assert (calls, result.recoveries) == ([], ())


@pytest.mark.anyio
async def test_an_attempt_does_not_see_what_the_one_before_did_to_its_arguments() -> None:
    seen = []

    @function(retries=1, backoff=0)
    def take(items: list[int]) -> int:
        seen.append(list(items))
        items.clear()
        if len(seen) == 1:
            raise ConnectionError
        return 0

    await execute([take], "s1 = take(items=[1, 2])")
    assert seen == [[1, 2], [1, 2]]


def test_no_attempt_begins_once_the_time_for_all_is_over(monkeypatch) -> None:
    monkeypatch.setattr(retries, "MAX_RETRYING", 0.3)
    began = []

    @function(retries=100, backoff=0.02)
    async def down() -> None:
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.02)
        raise ConnectionError("down")

    result = run_virtually(execute([down], "s1 = down()"))
    assert 2 <= len(began) < 20
    assert began[-1] - began[0] < 0.3
    assert result.calls["s1"].error == f"ConnectionError: down (after {len(began)} attempts)"
    assert len(result.recoveries) == len(began) - 1


@pytest.mark.anyio
async def test_a_first_attempt_that_takes_all_the_time_is_the_last(monkeypatch) -> None:
    monkeypatch.setattr(retries, "MAX_RETRYING", 0.05)

    @function(retries=3, backoff=0)
    async def slow() -> None:
        await asyncio.sleep(0.06)
        raise ConnectionError("down")

    result = await execute([slow], "s1 = slow()")
    assert result.calls["s1"].error == "ConnectionError: down"


@pytest.mark.anyio
async def test_a_pause_that_lasts_too_long_is_followed_by_no_attempt(monkeypatch) -> None:
    monkeypatch.setattr(retries, "MAX_RETRYING", 0.2)
    made = []

    @function(retries=3, backoff=0.1)
    async def down() -> None:
        made.append(time.monotonic())
        # The event loop is held up by others while this call pauses.
        asyncio.get_running_loop().call_later(0.02, time.sleep, 0.3)
        raise ConnectionError("down")

    result = await execute([down], "s1 = down()")
    assert (len(made), result.calls["s1"].error, result.recoveries) == (1, "ConnectionError: down", ())


def long_pause(place: Any) -> Any:
    """The function with a pause that outlasts any test."""
    return replace(declared_in(place), backoff=25.0)


@pytest.mark.anyio
async def test_cancelling_a_run_ends_a_pause_at_once(place, tmp_path) -> None:
    file = tmp_path / "attempts"
    async with Orchestrator([long_pause(place)], model=ScriptedModel([]), processors=1) as orchestrator:
        task = asyncio.create_task(orchestrator.execute(plan_of(place, file, ["reset"] * 9)))
        await until(lambda: made(file))
        await asyncio.sleep(0.1)
        began = time.monotonic()  # of a pause of at least 12.5 s
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert time.monotonic() - began < 12
    assert made(file) == 1


@pytest.mark.anyio
async def test_a_call_that_pauses_is_given_up_with_its_plan(tmp_path) -> None:
    file = tmp_path / "attempts"
    wrong = [f"{plan_of(waits, file, ['reset'] * 9)}\n", "s2 = fly()"]
    right = plan_of(blocks, tmp_path / "other", [])
    model = ScriptedModel([wrong, right], delay=0.1)
    async with Orchestrator([long_pause(waits), blocks], model=model) as orchestrator:
        result = await orchestrator.run("Which?")
    assert (result.answer, made(file)) == ("attempt 1", 1)
    assert [recovery.kind for recovery in result.recoveries] == ["repair"]


@pytest.mark.anyio
async def test_an_attempt_does_not_see_the_results_of_another_plan() -> None:
    seen = []

    @function(pure=True)
    async def name(text: str) -> str:
        return text

    @function(retries=1, backoff=0.2, pure=True)
    async def flaky(text: str) -> None:
        seen.append(text)
        raise ConnectionError

    functions = as_functions([name, flaky])
    async with Processors(1) as processors, execution_on(processors, functions) as execution:
        execution.extend(parse('s1 = name(text="a")\ns2 = flaky(text=s1)').calls)
        await until(lambda: seen)
        execution.revise()
        execution.extend(parse('s1 = name(text="b")').calls)
        await until(lambda: len(seen) == 2)
        execution.extend((), complete=True)
        await execution.finished()
    assert seen == ["a", "a"]
    assert execution.store.results["s1"] == "b"


@pytest.mark.anyio
async def test_retries_come_before_what_the_technique_did(tmp_path) -> None:
    wrong = "s1 = fly()"
    right = plan_of(waits, tmp_path / "attempts", ["reset"])
    async with Orchestrator([waits], model=ScriptedModel([wrong, right])) as orchestrator:
        result = await orchestrator.run("Which?")
    assert [recovery.kind for recovery in result.recoveries] == ["retry", "repair"]


@pytest.mark.anyio
async def test_a_write_that_may_be_repeated_is_made_again_in_its_place() -> None:
    things: dict[str, str] = {}
    attempts = []

    @function(writes=["thing:{name}"], idempotent=True, retries=2, backoff=0.05)
    async def put(name: str, value: str) -> None:
        attempts.append(value)
        things[name] = value
        if len(attempts) == 1:
            raise ConnectionError("was it written?")

    @function(reads=["thing:{name}"])
    async def get(name: str) -> str:
        return things.get(name, "nothing")

    result = await execute([put, get], 's1 = put(name="a", value="1")\ns2 = get(name="a")')
    assert (result.answer, attempts) == ("1", ["1", "1"])
    assert result.calls["s2"].dispatched >= result.calls["s1"].completed


@pytest.mark.anyio
async def test_a_function_that_asks_the_model_begins_again_but_a_models_failure_is_its_own() -> None:
    begun = []

    @function(asks_model=True, retries=2, backoff=0)
    def judge(text: str) -> Any:
        begun.append(text)
        reply = yield f"Is {text} so?"
        if reply == "what?":
            raise ValueError("no judgement")
        return reply

    model = ScriptedModel(["what?", "yes"])
    result = await execute([judge], 's1 = judge(text="it")', model)
    assert (result.answer, begun, len(model.requests)) == ("yes", ["it", "it"], 2)
    broken = ScriptedModel(["what?", [ModelError("out of order")]])
    result = await execute([judge], 's1 = judge(text="it")', broken)
    assert result.calls["s1"].error == "out of order (after 2 attempts)"


@given(
    attempt=st.integers(1, 10_000),
    backoff=st.floats(0, allow_infinity=False, allow_nan=False),
    seed=st.integers(),
)
def test_a_pause_doubles_and_is_shortened_by_half_at_most(attempt, backoff, seed) -> None:
    pause = pause_after(attempt, backoff, Random(seed))
    whole = min(MAX_PAUSE, backoff * 2.0 ** min(attempt - 1, 100))
    assert whole / 2 <= pause <= whole
    assert pause == pause_after(attempt, backoff, Random(seed))


@given(
    attempt=st.integers(1, 200),
    retries=st.integers(0, 100),
    backoff=st.floats(0, 1e6),
    since=st.floats(0, 100),
    writes=st.booleans(),
    idempotent=st.booleans(),
    kinds=st.sampled_from([("builtins.KeyError", "builtins.Exception"), ("builtins.SystemExit",), ()]),
    seed=st.integers(),
)
def test_an_attempt_follows_only_within_every_bound(
    attempt, retries, backoff, since, writes, idempotent, kinds, seed
) -> None:
    declared = replace(
        declared_in(waits),
        retries=retries,
        retry_on=(LookupError, Exception),
        backoff=backoff,
        writes=("thing",) if writes else (),
        idempotent=idempotent,
    )
    pause = next_pause(declared, kinds, attempt=attempt, since=since, chance=Random(seed))
    within = since + pause_after(attempt, backoff, Random(seed)) < MAX_RETRYING
    allowed = attempt <= retries and (idempotent or not writes) and len(kinds) == 2 and within
    assert (pause is not None) == allowed
