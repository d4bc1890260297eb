"""Many runs of one orchestrator at once: from one loop, from threads, inside functions, in forked children."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import re
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

import psutil
import pytest

from llmorch import (
    CallError,
    End,
    Here,
    LimitReached,
    LLMOrchError,
    Orchestrator,
    Processors,
    WrongArgument,
    function,
)
from llmorch.schedule import CallCompleted, Dispatch, Finish
from llmorch.schedule.policy import Greedy
from llmorch.testing import ScriptedModel, run_virtually
from tests.runtime.seen import Seen


@function
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@function
def double(n: int) -> int:
    return 2 * n


@function(kind="compute")
def square(n: int) -> int:
    return n * n


@function(kind="compute")
def burn(seconds: float) -> float:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return seconds


def offering(*functions: Any, **said: Any) -> Orchestrator:
    return Orchestrator(functions, **{"model": ScriptedModel([]), "processors": 2, "learn": False, **said})


def test_runs_that_wait_do_so_together() -> None:
    async def main() -> tuple[float, list[Any]]:
        async with offering(nap, model=ScriptedModel(lambda _: "s1 = nap(seconds=0.5)")) as made:
            loop = asyncio.get_running_loop()
            began = loop.time()
            results = await asyncio.gather(*(made.run("Wait.") for _ in range(200)))
            return loop.time() - began, [result.answer for result in results]

    took, answers = run_virtually(main())
    assert took < 0.6
    assert answers == [0.5] * 200


def test_one_orchestrator_is_used_from_two_hundred_threads() -> None:
    made = offering(nap, double, square)
    found: dict[int, Any] = {}

    def use(n: int) -> None:
        plan = f"s1 = double(n={n})\ns2 = square(n=s1)\ns3 = nap(seconds=0.01)\ns4 = double(n=s2)"
        found[n] = made.execute_sync(plan).answer

    threads = [threading.Thread(target=use, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    asyncio.run(made.close())
    assert found == {n: 8 * n * n for n in range(200)}
    assert psutil.Process().children() == []


def test_functions_use_their_own_orchestrator() -> None:
    @function
    def inner_sync(n: int) -> int:
        return made.execute_sync(f"s1 = double(n={n})").answer

    @function
    async def inner_async(n: int) -> int:
        return (await made.execute(f"s1 = square(n={n})")).answer

    made = offering(double, square, inner_sync, inner_async)
    before = set(threading.enumerate())
    for _ in range(1000):
        assert made.execute_sync("s1 = inner_sync(n=2)").answer == 4
    wide = "\n".join(f"s{n} = inner_sync(n={n})" for n in range(1, 301))
    calls = made.execute_sync(wide).calls
    assert [call.error for call in calls if call.error] == []
    assert [call.result for call in calls] == [2 * n for n in range(1, 301)]
    assert made.execute_sync("s1 = inner_async(n=3)\ns2 = inner_sync(n=s1)").answer == 18
    asyncio.run(made.close())
    end = time.monotonic() + 20
    while len(set(threading.enumerate()) - before) > 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(set(threading.enumerate()) - before) <= 2
    assert psutil.Process().children() == []


@pytest.mark.parametrize(
    "said", [{"max_concurrency": 1}, {"resources": {"desk": 1}}], ids=["limit", "resource"]
)
def test_a_call_that_would_wait_for_the_call_that_waits_for_it_fails_and_says_so(
    said: dict[str, Any],
) -> None:
    @function(**said)
    def deep(n: int) -> int:
        result = made.execute_sync(f"s1 = deep(n={n - 1})")
        if result.error is not None:
            raise RuntimeError(result.error)
        return result.answer

    made = offering(deep, resources={"desk": 1})
    result = made.execute_sync("s1 = deep(n=3)", deadline=20)
    assert "would wait for ever" in (result.error or "")
    assert ("deep()" if "max_concurrency" in said else "desk") in (result.error or "")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_two_calls_that_each_hold_what_the_other_needs_do_not_wait_for_ever(kind: str) -> None:
    together = threading.Barrier(2)

    @function(resources={"desk": 1})
    def leaf() -> int:
        return 1

    @function(resources={"desk": 1})
    def outer_sync(n: int) -> int:
        together.wait(20)
        result = made.execute_sync("s1 = leaf()")
        if result.error is not None:
            raise RuntimeError(result.error)
        return result.answer

    @function(resources={"desk": 1})
    async def outer_async(n: int) -> int:
        await asyncio.to_thread(together.wait, 20)
        result = await made.execute("s1 = leaf()")
        if result.error is not None:
            raise RuntimeError(result.error)
        return result.answer

    made = offering(leaf, outer_sync, outer_async, resources={"desk": 2})
    result = made.execute_sync(f"s1 = outer_{kind}(n=1)\ns2 = outer_{kind}(n=2)", deadline=20)
    told = [(call.status, call.error) for call in result.calls]
    # One is told why it can't be; then the other has what it needs.
    assert sorted(status for status, _ in told) == ["completed", "failed"]
    assert "would wait for ever: all of desk is held by calls that wait for such calls" in str(told)


def test_a_limit_that_has_room_for_the_inner_call_lets_it_by() -> None:
    @function(max_concurrency=3)
    async def deep(n: int) -> int:
        return 0 if n == 0 else 1 + (await made.execute(f"s1 = deep(n={n - 1})")).answer

    made = offering(deep)
    assert made.execute_sync("s1 = deep(n=2)", deadline=20).answer == 2


_forked = offering(square)


def _work(n: int) -> Any:
    return _forked.execute_sync(f"s1 = square(n={n})", deadline=30).answer


def test_a_fork_after_the_first_run_answers_for_itself() -> None:
    assert _forked.execute_sync("s1 = square(n=1)").answer == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which is the point
        for _ in range(3):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(_work, range(2, 10), chunksize=1) == [n * n for n in range(2, 10)]
    assert _forked.execute_sync("s1 = square(n=5)").answer == 25
    asyncio.run(_forked.close())
    assert psutil.Process().children() == []


@pytest.mark.anyio
async def test_a_cancelled_run_touches_no_other() -> None:
    async with offering(burn, nap) as made:
        await made.execute("s1 = burn(seconds=0)")
        others = [
            asyncio.create_task(made.execute("s1 = burn(seconds=0.2)\ns2 = nap(seconds=0.1)"))
            for _ in range(3)
        ]
        cancelled = asyncio.create_task(made.execute("s1 = burn(seconds=60)"))
        await asyncio.sleep(0.05)  # whether or not it has begun
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        assert [result.answer for result in await asyncio.gather(*others)] == [0.1] * 3


@pytest.mark.anyio
async def test_a_short_run_beside_a_long_one_is_not_held_up_by_its_queue() -> None:
    async with offering(burn, processors=1) as made:
        await made.execute("s1 = burn(seconds=0)")
        seen = Seen()
        plan = "\n".join(f"s{n} = burn(seconds=0.02)" for n in range(1, 41))
        long = asyncio.create_task(made.execute(plan, observer=seen))
        await seen.heard("s2", CallCompleted)
        short = await made.execute("s1 = burn(seconds=0.02)\ns2 = burn(seconds=0.02)")
        assert short.answer == 0.02
        assert not long.done()
        long.cancel()


@pytest.mark.anyio
async def test_the_processors_that_are_shared_are_closed_by_who_made_them() -> None:
    async with Processors(1) as shared:
        async with offering(square, processors=shared) as one:
            assert (await one.execute("s1 = square(n=2)")).answer == 4
        assert psutil.Process().children()
        async with offering(square, processors=shared) as other:
            assert (await other.execute("s1 = square(n=3)")).answer == 9
    assert psutil.Process().children() == []
    async with shared:  # once more
        assert (await other.execute("s1 = square(n=4)")).answer == 16
    assert psutil.Process().children() == []


@pytest.mark.anyio
async def test_a_policy_and_a_technique_may_be_objects() -> None:
    class Backwards(Greedy):
        name = "backwards"

        def push(self, calls: Any) -> None:
            super().push(list(reversed(calls)))

    order: list[int] = []

    @function
    async def note(n: int) -> int:
        order.append(n)
        return n

    async with offering(note, policy=Backwards) as made:
        await made.execute("s1 = note(n=1)\ns2 = note(n=2)\ns3 = note(n=3)")
        assert made.policy == "backwards"
    assert order == [3, 2, 1]


@pytest.mark.anyio
async def test_an_observer_that_raises_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def observer(message: object, at: float) -> None:
        raise RuntimeError("the page is gone")

    async with offering(double) as made:
        with caplog.at_level(logging.ERROR, logger="llmorch"):
            assert (await made.execute("s1 = double(n=1)", observer=observer)).answer == 2
    assert "the page is gone" in caplog.text


@pytest.mark.anyio
async def test_an_async_observer_is_awaited_in_order(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[type] = []

    async def observer(message: object, at: float) -> None:
        await asyncio.sleep(0.001)
        seen.append(type(message))
        if isinstance(message, Dispatch):
            raise RuntimeError("once")

    async with offering(double) as made:
        with caplog.at_level(logging.ERROR, logger="llmorch"):
            await made.execute("s1 = double(n=1)", observer=observer)
    assert [kind.__name__ for kind in seen] == ["PlanExtended", "Dispatch", "CallCompleted", "Finish"]
    assert seen[-1] is Finish
    assert "once" in caplog.text


@pytest.mark.anyio
async def test_a_cancelled_run_with_an_async_observer_ends_at_once() -> None:
    async def observer(message: object, at: float) -> None:
        await asyncio.sleep(60)

    async with offering(nap) as made:
        run = asyncio.create_task(made.execute("s1 = nap(seconds=60)", observer=observer))
        await asyncio.sleep(0.05)
        run.cancel()
        began = asyncio.get_running_loop().time()
        await asyncio.wait([run])
        assert asyncio.get_running_loop().time() - began < 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"processors": True}, "processors"),
        ({"processors": "four"}, "processors"),
        ({"processors": 0}, "processors"),
        ({"repairs": -1}, "repairs"),
        ({"repairs": 1.5}, "repairs"),
        ({"max_recoveries": -1}, "max_recoveries"),
        ({"max_recoveries": 10**9}, "max_recoveries"),
        ({"technique": "magic"}, "technique"),
        ({"technique": 3}, "technique"),
        ({"technique": []}, "technique"),
        ({"policy": lambda: 5}, "Policy"),
        ({"examples": 5}, "examples"),
        ({"policy": "magic"}, "policy"),
        ({"policy": 3}, "policy"),
        ({"examples": "/no/such/file"}, "examples"),
        ({"resources": {"camera": "many"}}, "camera"),
        ({"resources": 3}, "resources"),
        ({"processors": Processors(1), "resources": {"camera": 1}}, "resources"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongArgument, match=says):
        offering(double, **options)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "said",
    [{"priority": 0}, {"priority": float("nan")}, {"priority": "high"}, {"deadline": 0}, {"deadline": "soon"},
     {"observer": 3}, {"observer": lambda message: None}, {"observer": lambda message, *, at: None}],
)  # fmt: skip
async def test_wrong_arguments_of_a_run_are_refused_before_anything_begins(said: dict[str, Any]) -> None:
    async with offering(double) as made:
        with pytest.raises(WrongArgument):
            await made.execute("s1 = double(n=1)", **said)
        with pytest.raises(WrongArgument):
            await made.run("Double it.", **said)
        with pytest.raises(WrongArgument):
            await made.run("Double it.", max_tokens="many")  # type: ignore[arg-type]


FORKS = """
import asyncio, os

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

@function
def double(n: int) -> int:
    return 2 * n

@function(kind="compute")
def square(n: int) -> int:
    return n * n

made = Orchestrator([square, double], model=ScriptedModel([]), processors=1, learn=False)
assert made.execute_sync("s1 = square(n=3)").answer == 9
for at in range(20):
    children = []
    for n in range(10):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                plan, right = (f"s1 = double(n={n})", 2 * n) if n % 5 else (f"s1 = square(n={n})", n * n)
                code = int(made.execute_sync(plan).answer != right)
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10, at
asyncio.run(made.close())
import psutil
assert psutil.Process().children() == []
"""


def test_two_hundred_forks_leave_nothing_and_answer_right() -> None:
    """In a program of their own: a fork of this process takes much longer."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


class Broken:
    """A place that breaks its promises in one way."""

    def __init__(self, how: str) -> None:
        self._how = how

    def begin(self, job: Any, ended: Any) -> Any:
        if self._how == "raises":
            raise KeyError("typo")
        if self._how == "is cancelled":
            raise asyncio.CancelledError("of its own")
        if self._how == "returns nothing":
            return None
        ends: Any = {
            "few": [],
            "many": [End(Here(1)), End(Here(2))],
            "raw": [End(5)],  # type: ignore[arg-type]
            "text": [End(error="bad")],  # type: ignore[arg-type]
            "no end": ["x"],
            "empty": [End()],
        }.get(self._how, [End(Here(1))])
        if self._how == "elsewhere":
            threading.Thread(target=ended, args=(ends,)).start()
        else:
            asyncio.get_running_loop().call_soon(ended, ends)
        if self._how == "twice":
            asyncio.get_running_loop().call_soon(ended, [End(Here(2))])
        return self

    def cancel(self) -> bool:
        return True

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("how", "answer", "says"),
    [
        ("raises", None, "its place broke its promises: it raised KeyError"),
        ("is cancelled", None, "its place broke its promises: it raised CancelledError"),
        ("few", None, "it told 0 ends of 1 calls"),
        ("many", None, "it told 2 ends of 1 calls"),
        ("returns nothing", None, "its begin returned None, and no Work, which has cancel()"),
        ("raw", None, "the value of its End is 5, and no Handle, such as Here(value)"),
        ("text", None, "the error of its End is 'bad', and no CallError"),
        ("no end", None, "something else than an End"),
        ("empty", None, "something else than an End"),
        ("twice", 1, ""),
        ("elsewhere", 1, ""),
    ],
)
def test_a_place_that_breaks_its_promises_hangs_nothing(how: str, answer: Any, says: str) -> None:
    made = offering(double, processors=Processors(1, place=Broken(how)))
    result = made.execute_sync("s1 = double(n=1)", deadline=20)
    assert result.answer == answer
    assert says in (result.error or "")

    async def main() -> Any:
        async with made.session() as session:
            return await asyncio.wait_for(session.call("double", {"n": 1}), 20)

    if says:
        with pytest.raises(CallError, match=re.escape(says)):
            asyncio.run(main())
    else:
        assert asyncio.run(main()) == answer


def test_what_is_no_place_is_refused() -> None:
    with pytest.raises(WrongArgument, match="begin"):
        Processors(1, place=object())  # type: ignore[arg-type]
    with pytest.raises(WrongArgument, match="not the class Broken"):
        Processors(1, place=Broken)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_call_of_a_known_plan_is_cancelled_before_it_has_begun() -> None:
    async with offering(double, nap) as made:
        run = made.start_plan("s1 = nap(seconds=60)\ns2 = double(n=1)")
        run.cancel("s1")
        result = await run
        assert [call.status for call in result.calls] == ["cancelled", "completed"]
        run = made.start_plan("s1 = nap(seconds=60)\ns2 = double(n=1)")
        run.cancel()
        assert [call.status for call in (await run).calls] == ["cancelled", "cancelled"]


def test_limits_are_told_by_name_in_json() -> None:
    @function(max_concurrency=2, rate="10/s")
    def limited(n: int) -> int:
        return n

    data = offering(limited).execute_sync("s1 = limited(n=1)").as_json()
    assert json.loads(json.dumps(data))["calls"][0]["limits"] == ["limited()", "limited() 10/s"]


def test_a_run_whose_event_loop_was_closed_gives_back_what_it_held() -> None:
    @function(resources={"desk": 1})
    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    made = offering(work, resources={"desk": 1})

    async def begins() -> None:
        left.append(made.start_plan("s1 = work(seconds=60)"))
        await asyncio.sleep(0.05)

    left: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begins())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = left[0]._task
        task._log_destroy_pending = False
        loop.close()
    assert made.execute_sync("s1 = work(seconds=0.01)", deadline=20).answer == 0.01


def test_a_virtual_clock_has_an_account_of_its_own() -> None:
    @function(rate="1/s")
    async def ping(n: int) -> int:
        return n

    made = offering(ping)

    async def two() -> float:
        began = asyncio.get_running_loop().time()
        await made.execute("s1 = ping(n=1)\ns2 = ping(n=2)")
        return asyncio.get_running_loop().time() - began

    assert made.execute_sync("s1 = ping(n=1)").answer == 1
    assert [round(run_virtually(two()), 3) for _ in range(2)] == [1.0, 1.0]


@pytest.mark.anyio
async def test_what_is_no_plan_or_query_is_refused() -> None:
    async with offering(double) as made:
        for wrong in (5, None, b"s1 = double(n=1)", []):
            for use in (made.run, made.execute, made.plan):
                with pytest.raises(WrongArgument):
                    await use(wrong)
            for check in (made.check, made.forecast, made.start_plan):
                with pytest.raises(WrongArgument):
                    check(wrong)


def test_a_run_is_started_on_an_event_loop() -> None:
    with pytest.raises(LLMOrchError, match="no event loop"):
        offering(double).start_plan("s1 = double(n=1)")


@pytest.mark.anyio
async def test_a_limit_of_tokens_that_a_call_comes_to_ends_the_run() -> None:
    def reply(request: Any) -> str:
        asks = "double(" in request.messages[0].text
        return 's1 = self(prompt="a")\ns2 = self(prompt="{s1} b")' if asks else "y" * 4000

    async with offering(double, model=ScriptedModel(reply)) as made:
        whole = (await made.run("Say it.")).usage
        most = whole.input_tokens + whole.output_tokens - 2100
        with pytest.raises(LimitReached, match="max_tokens") as raised:
            await made.run("Say it.", max_tokens=most)
        assert [call.status for call in raised.value.result.calls] == ["completed", "failed"]


def test_an_observer_that_writes_to_what_it_sees_changes_nothing() -> None:
    @function(max_concurrency=1)
    async def one(n: int) -> int:
        return n

    def scribble(message: Any, at: float) -> None:
        for name in ("call", "attempt", "calls", "processor"):
            if hasattr(message, name):
                setattr(message, name, 99)

    async def main() -> list[Any]:
        async with offering(one) as made:
            several = [made.execute("s1 = one(n=1)\ns2 = one(n=s1)", observer=scribble) for _ in range(3)]
            results = await asyncio.gather(*several, made.execute("s1 = one(n=2)"))
            return [result.answer for result in results]

    assert run_virtually(main()) == [1, 1, 1, 2]


def test_a_run_that_ends_by_an_exception_of_its_place_gives_back_what_it_held() -> None:
    @function(max_concurrency=1)
    async def one(n: int) -> int:
        return n

    class Exits(Broken):
        def begin(self, job: Any, ended: Any) -> Any:
            if job.calls[0].args["n"].value == 1:
                raise SystemExit(3)
            return super().begin(job, ended)

    async def main() -> Any:
        async with Processors(1, place=Exits("")) as shared:
            made = offering(one, processors=shared)
            with pytest.raises(SystemExit):
                await made.execute("s1 = one(n=1)", deadline=20)
            return (await made.execute("s1 = one(n=2)", deadline=20)).answer

    assert asyncio.run(main()) == 1
