"""What a function returns as an iterator is a list wherever it ran, and can be used as often as one likes."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.declare.functions import Batch, Function
from llmorch.errors import CallError
from llmorch.places import iterators
from llmorch.places.failure import LATE
from llmorch.places.iterators import MAX_ITEMS
from llmorch.places.local import Local
from llmorch.places.workers import Worker
from tests.places import iterating

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    yield made
    await made.close()


@pytest.fixture(params=["inline", "worker"])
async def place(request: pytest.FixtureRequest, worker: Worker) -> AsyncIterator[Local | Worker]:
    if request.param == "worker":
        yield worker
        return
    made = Local(1)
    yield made
    await made.close()


def offered(call: Any, **said: Any) -> Function:
    return Function(call.__name__, call, **said)


@pytest.mark.parametrize("kind", iterating.ALL)
@pytest.mark.parametrize("call", [iterating.returned, iterating.async_returned])
async def test_an_iterator_is_a_list_of_its_items(place: Local | Worker, call: Any, kind: str) -> None:
    assert await place.execute(offered(call), {"kind": kind}) == iterating.ALL[kind][1]


@pytest.mark.parametrize("call", [iterating.rows, iterating.async_rows])
async def test_what_a_generator_function_yields_is_its_result(place: Local | Worker, call: Any) -> None:
    assert await place.execute(offered(call), {"n": 3}) == [0, 1, 2]


@pytest.mark.parametrize("call", [iterating.failing, iterating.async_failing])
async def test_what_an_iterator_raises_is_the_failure_of_the_call(place: Local | Worker, call: Any) -> None:
    with pytest.raises(CallError, match=r"^ValueError: row 2 is broken$") as caught:
        await place.execute(offered(call), {"n": 2})
    assert caught.value.kinds[0] == "builtins.ValueError"
    assert "failing" in caught.value.detail
    assert "llmorch/" not in caught.value.detail


@pytest.mark.parametrize(
    "call",
    [iterating.endless, iterating.returned_endless, iterating.async_endless],
    ids=lambda call: call.__name__,
)
async def test_one_that_never_ends_is_a_failure_that_says_so(place: Local | Worker, call: Any) -> None:
    with pytest.raises(CallError, match=f"^Endless: more than {MAX_ITEMS:,} items come of the iterator"):
        await place.execute(offered(call), {})


async def test_an_open_file_stays_one(tmp_path: Any) -> None:
    with await Local(1).execute(offered(iterating.file), {"path": str(tmp_path / "file")}) as file:
        assert file.read() == "a\nb\n"


async def test_a_range_can_be_used_again_and_stays_one(place: Local | Worker) -> None:
    assert await place.execute(offered(iterating.range_of), {"n": 2}) == range(2)


async def test_a_coroutine_that_an_async_function_returns_is_awaited(place: Local | Worker) -> None:
    assert await place.execute(offered(iterating.coroutine_in_coroutine), {}) == 7


@pytest.mark.parametrize("form", [iterating.batch, iterating.async_batch])
async def test_of_a_batch_each_result_is_a_list_and_one_that_fails_fails_alone(
    place: Local | Worker, form: Any
) -> None:
    function = offered(iterating.rows, batch=Batch(form, "calls")).together
    made = await place.execute(function, {"calls": [{"n": n} for n in (0, 1, 2, 3)]})
    assert [made[0], made[2], made[3]] == [[], [0, 1], [0, 1, 2]]
    assert made[1][0] == "ValueError: row 1 is broken"


async def test_a_slow_iterator_of_an_async_function_doesnt_hold_up_the_event_loop() -> None:
    place = Local(1)
    work = asyncio.create_task(place.execute(offered(iterating.async_returned_slow), {"n": 3}))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert await work == [0, 1, 2]
    assert turns > 10  # it would have one for each item
    await place.close()


async def test_an_async_generator_that_never_waits_lets_others_have_their_turn() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    with pytest.raises(CallError):
        await Local(1).execute(offered(iterating.async_endless), {})
    counting.cancel()
    assert turns > 100


@pytest.mark.parametrize("call", [iterating.slow, iterating.async_returned_slow])
async def test_drawing_counts_to_the_timeout_of_the_call(place: Local | Worker, call: Any) -> None:
    if call is iterating.slow and isinstance(place, Local):
        pytest.skip("a thread can't be stopped: a function with a timeout runs in a process")
    began = time.perf_counter()
    with pytest.raises(CallError, match="took longer than its timeout of 0.2 s") as caught:
        await place.execute(offered(call, timeout=0.2), {"n": 300})
    assert caught.value.kinds == LATE
    assert time.perf_counter() - began < 15


async def test_a_thread_stops_drawing_once_nobody_wants_the_result() -> None:
    loop = asyncio.get_running_loop()
    began, over = asyncio.Event(), threading.Event()

    def items() -> Any:
        try:
            while True:
                loop.call_soon_threadsafe(began.set)
                yield time.sleep(0.01)
        finally:
            over.set()

    place = Local(1)
    work = asyncio.create_task(place.execute(Function("items", items), {}))
    await began.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await asyncio.to_thread(over.wait, 5)
    await place.close()


async def test_iterators_in_one_another_without_end_are_a_failure() -> None:
    def nest() -> Any:
        yield nest()

    with pytest.raises(CallError, match="iterators in iterators"):
        await Local(1).execute(Function("nest", nest), {})


def test_the_items_of_iterators_in_one_another_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterators, "MAX_ITEMS", 10)
    assert iterators.listed(iterating.rows(n) for n in (2, 5)) == [[0, 1], [0, 1, 2, 3, 4]]
    with pytest.raises(iterators.Endless):
        iterators.listed(iterating.rows(n) for n in (3, 6))
