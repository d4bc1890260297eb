"""What the port promises, for each implementation of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.declare.functions import Function, declaration_of
from llmorch.errors import CallError
from llmorch.places.inline import Inline
from llmorch.places.workers import Worker, Workers
from tests.places import sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llmorch.places.processor import Processor

pytestmark = pytest.mark.anyio


@dataclass
class Place:
    """An implementation, and how its functions are written."""

    processor: Processor
    prefix: str
    kind: Any
    stops: bool = True

    def function(self, name: str, timeout: float | None = None) -> Function:
        return declaration_of(getattr(sample, self.prefix + name), kind=self.kind, timeout=timeout)


@pytest.fixture(params=["inline async", "inline sync", "processes", "worker", "worker async"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    made = {
        "inline async": lambda: Place(Inline(), "async_", "inout"),
        "inline sync": lambda: Place(Inline(), "", "inout", stops=False),
        "processes": lambda: Place(Workers(), "", "inout"),
        "worker": lambda: Place(Worker(), "", "compute"),
        "worker async": lambda: Place(Worker(), "async_", "compute"),
    }[request.param]()
    yield made
    await made.processor.close()


async def test_execute_returns_what_the_function_returns(place: Place) -> None:
    value = {"text": "ä", "rows": [1, 2.5, None, True], "pair": (1, b"x")}
    assert await place.processor.execute(place.function("echo"), {"value": value}) == value


async def test_a_functions_exception_is_a_call_error_with_its_type_message_and_traceback(
    place: Place,
) -> None:
    for kind in ("ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit"):
        with pytest.raises(CallError) as caught:
            await place.processor.execute(place.function("fail"), {"kind": kind, "text": "too\nlate"})
        assert str(caught.value) == f"{kind}: too late"
        assert "in fail\n" in caught.value.detail
        assert "llmorch/places" not in caught.value.detail
        assert caught.value.kinds[0] == f"builtins.{kind}"
        assert caught.value.kinds[-1] == "builtins.BaseException"
    assert await place.processor.execute(place.function("echo"), {"value": 1}) == 1


async def test_a_message_of_any_length_is_bounded(place: Place) -> None:
    with pytest.raises(CallError) as caught:
        await place.processor.execute(place.function("fail"), {"kind": "ValueError", "text": "x" * 1_000_000})
    assert len(str(caught.value)) == 2_000
    assert len(caught.value.detail) <= 20_000


async def test_an_exception_whose_text_cant_be_read_is_reported_all_the_same(place: Place) -> None:
    with pytest.raises(CallError, match=r"^UnreadableError: \(its message can't be read\)$"):
        await place.processor.execute(place.function("fail_unreadably"), {})


async def test_arguments_that_dont_fit_are_a_call_error(place: Place) -> None:
    with pytest.raises(CallError, match=r"TypeError: .*echo\(\) got an unexpected keyword argument 'other'"):
        await place.processor.execute(place.function("echo"), {"other": 1})


async def test_cancelling_execute_stops_the_waiting_at_once_and_the_work_where_it_can_be(
    place: Place, tmp_path: Path
) -> None:
    await place.processor.execute(place.function("echo"), {"value": 1})  # it is up
    file = tmp_path / "effect"
    task = asyncio.create_task(
        place.processor.execute(place.function("nap"), {"seconds": 0.8, "file": str(file)})
    )
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.perf_counter() - began < 0.5
    assert not file.exists()
    await asyncio.sleep(0.9)
    assert file.exists() is not place.stops
    assert await place.processor.execute(place.function("echo"), {"value": 2}) == 2


async def test_a_call_past_its_timeout_is_stopped(place: Place, tmp_path: Path) -> None:
    if not place.stops:
        pytest.skip("a thread can't be stopped: a function with a timeout runs in a process")
    file = tmp_path / "effect"
    with pytest.raises(CallError, match=r"^(async_)?nap took longer than its timeout of 0.1 s$") as caught:
        await place.processor.execute(place.function("nap", timeout=0.1), {"seconds": 0.2, "file": str(file)})
    assert caught.value.kinds[0] == "builtins.TimeoutError"
    await asyncio.sleep(0.25)
    assert not file.exists()
    assert await place.processor.execute(place.function("echo"), {"value": 2}) == 2


async def test_calls_made_at_once_all_return_their_own_result(place: Place) -> None:
    calls = [place.processor.execute(place.function("echo"), {"value": number}) for number in range(20)]
    assert await asyncio.gather(*calls) == list(range(20))


async def test_close_may_be_called_twice_and_ends_what_runs(place: Place, tmp_path: Path) -> None:
    call = place.processor.execute(place.function("nap"), {"seconds": 0.2, "file": str(tmp_path / "effect")})
    task = asyncio.create_task(call)
    await asyncio.sleep(0.1)
    await place.processor.close()
    await place.processor.close()
    with pytest.raises(CallError, match="its processor is closed") as caught:
        await place.processor.execute(place.function("echo"), {"value": 1})
    assert caught.value.kinds == ()
    task.cancel()
    await asyncio.wait([task])


async def test_a_processor_that_was_never_used_closes(place: Place) -> None:
    await place.processor.close()
