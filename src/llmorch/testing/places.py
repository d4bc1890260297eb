"""What the port of places promises, as tests for an implementation of it.

    class TestMyPlace(PlaceContract):
        def place(self) -> Place:
            return MyPlace()

It needs nothing but pytest. With ``pytest.register_assert_rewrite("llmorch.testing.places")`` before the
import, a failure shows the values.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.declare.functions import Batch
from llmorch.places.port import Here
from llmorch.testing import sample
from llmorch.testing.jobs import (
    A_WHILE,
    PATIENCE,
    SOON,
    WAYS,
    Begun,
    ends_of,
    error_of,
    function,
    job,
    opened,
    value_of,
)
from llmorch.testing.left import assert_nothing_left, in_use

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmorch.declare.functions import Function
    from llmorch.places.port import Place


def with_place(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test with a place of its own, which is closed after it."""

    def run(self: PlaceContract, tmp_path: Path) -> None:
        async def main() -> None:
            place = self.place()
            self.folder = tmp_path
            try:
                await test(self, place)
            finally:
                await place.close()

        asyncio.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def in_each_way(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The same once for each of the ``WAYS``."""

    def run(self: PlaceContract, tmp_path: Path, way: str) -> None:
        with_place(lambda self, place: test(self, place, way))(self, tmp_path)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    marked: Callable[..., None] = pytest.mark.parametrize("way", WAYS)(run)
    return marked


class PlaceContract:
    """To be subclassed, with ``place`` made."""

    forks = hasattr(os, "fork")
    """Whether a program that uses such a place may fork, and its child go on using it."""

    folder: Path
    """One for the files of each test."""

    def place(self) -> Place:
        """A new place; with at least two processors, if it has a number of them."""
        raise NotImplementedError

    # What a call comes to

    @in_each_way
    async def test_a_call_ends_with_what_its_function_returns(self, place: Place, way: str) -> None:
        value = {"text": "ä", "rows": [1, 2.5, None, True], "pair": (1, b"x")}
        assert await value_of(place, function("echo", way), value=value) == value

    @in_each_way
    async def test_an_exception_is_a_call_error_with_its_kinds(self, place: Place, way: str) -> None:
        (end,) = await ends_of(place, function("fail", way), {"text": "no such city"})
        error = error_of(end)
        assert "KeyError" in str(error)
        assert "no such city" in str(error)
        assert error.kinds[:2] == ("builtins.KeyError", "builtins.LookupError")
        assert "builtins.Exception" in error.kinds
        assert await value_of(place, function("echo", way), value=1) == 1

    @in_each_way
    async def test_arguments_are_made_of_the_values_behind_handles(self, place: Place, way: str) -> None:
        inputs = {"s1": Here([1, 2]), "s2": _Elsewhere({"a": 3})}
        for id_, expected in (("s1", [1, 2]), ("s2", {"a": 3})):
            (end,) = await ends_of(place, function("echo", way), {"value": id_}, inputs=inputs)
            assert opened(end) == expected

    @in_each_way
    async def test_an_argument_that_does_not_fit_fails_the_call(self, place: Place, way: str) -> None:
        (end,) = await ends_of(place, function("after", way), {"number": "s1"}, inputs={"s1": Here("x")})
        assert "number of after" in str(error_of(end))

    @in_each_way
    async def test_a_large_value_has_a_handle_that_tells_what_it_is_and_can_be_handed_on(
        self, place: Place, way: str
    ) -> None:
        (end,) = await ends_of(place, function("large", way), {"fill": "x"})
        handle = end.value
        assert handle is not None
        assert "str" in handle.what
        (after,) = await ends_of(place, function("length", way), {"text": "s1"}, inputs={"s1": handle})
        assert opened(after) == sample.LARGE
        assert handle.open() == "x" * sample.LARGE
        assert handle.open() is handle.open(), "it is fetched once"
        assert handle.here
        handle.close()

    @in_each_way
    async def test_a_value_that_nobody_opens_can_be_closed(self, place: Place, way: str) -> None:
        (end,) = await ends_of(place, function("large", way), {"fill": "x"})
        assert end.value is not None
        await asyncio.to_thread(end.value.close)

    @in_each_way
    async def test_what_a_model_is_to_see_comes_with_the_value(self, place: Place, way: str) -> None:
        showing = function("echo", way, show=sample.shortly)
        (end,) = await ends_of(place, showing, {"value": [1, 2, 3]})
        assert opened(end) == [1, 2, 3]
        assert end.value is not None
        assert (end.value.text, end.value.why) == ("3 of them", "")
        (end,) = await ends_of(place, showing, {"value": 5})
        assert opened(end) == 5
        assert end.value is not None
        assert end.value.text is None
        assert "TypeError" in end.value.why

    # Several calls as one

    @in_each_way
    async def test_the_ends_of_a_batch_are_in_order_and_one_that_fails_fails_alone(
        self, place: Place, way: str
    ) -> None:
        echo = _batching(function("echo", way), sample.together)
        ends = await ends_of(place, echo, *({"value": value} for value in ("a", None, "b")))
        assert [opened(ends[0]), opened(ends[2])] == ["a", "b"]
        assert "LookupError: nothing" in str(error_of(ends[1]))

    @in_each_way
    async def test_a_batch_form_that_returns_too_few_results_fails_all_of_the_calls(
        self, place: Place, way: str
    ) -> None:
        echo = _batching(function("echo", way), sample.too_few)
        ends = await ends_of(place, echo, {"value": 1}, {"value": 2})
        assert ["1 result" in str(error_of(end)) for end in ends] == [True, True]

    @in_each_way
    async def test_a_call_of_a_batch_whose_argument_does_not_fit_fails_alone(
        self, place: Place, way: str
    ) -> None:
        after = _batching(function("after", way), sample.together)
        inputs = {"s1": Here("x"), "s2": Here(3)}
        ends = await ends_of(place, after, {"number": "s1"}, {"number": "s2"}, inputs=inputs)
        assert "number of after" in str(error_of(ends[0]))
        assert opened(ends[1]) == 4, "one call that is left is made by the function itself"

    # Stopping

    @pytest.mark.parametrize("way", ["async", "sync with a timeout", "compute"])
    def test_a_call_past_its_timeout_is_stopped(self, tmp_path: Path, way: str) -> None:
        async def test(self: PlaceContract, place: Place) -> None:
            file = self.folder / "effect"
            slow = function("write_late", way, timeout=0.4)
            (end,) = await ends_of(place, slow, {"seconds": A_WHILE + 0.4, "file": str(file)})
            error = error_of(end)
            assert "took longer than its timeout of 0.4 s" in str(error)
            assert error.kinds[0] == "builtins.TimeoutError"
            await asyncio.sleep(A_WHILE + 0.2)
            assert not file.exists(), "the call was reported as stopped, and went on"

        with_place(test)(self, tmp_path)

    @in_each_way
    async def test_cancelling_stops_the_work_and_not_only_the_waiting(self, place: Place, way: str) -> None:
        file = self.folder / "effect"
        begun = Begun(place, job(function("write_late", way), {"seconds": A_WHILE, "file": str(file)}))
        await _appeared(Path(f"{file}.begun"))
        stopped = begun.work.cancel()
        assert begun.work.cancel() in (True, stopped), "it may be called twice"
        (end,) = await begun.ends(SOON if stopped else PATIENCE)
        if stopped:
            error_of(end)
            await asyncio.sleep(A_WHILE + 0.2)
            assert not file.exists(), "cancel returned true, and the work went on"
        else:
            assert way == "sync", "only a thread can't be stopped"
            assert file.exists(), "cancel returned false: the end comes when the work is over"
        assert await value_of(place, function("echo", way), value=2) == 2

    @in_each_way
    async def test_a_job_that_is_cancelled_at_once_ends_too(self, place: Place, way: str) -> None:
        begun = Begun(place, job(function("echo", way), {"value": 1}))
        begun.work.cancel()
        assert len(await begun.ends()) == 1

    def test_a_job_that_can_not_be_stopped_ends_after_its_event_loop(self, tmp_path: Path) -> None:
        place, file = self.place(), tmp_path / "effect"

        async def main() -> Begun:
            slow = job(function("write_late"), {"seconds": A_WHILE, "file": str(file)})
            begun = Begun(place, slow)
            await _appeared(Path(f"{file}.begun"))
            if begun.work.cancel():
                await begun.ends(SOON)
            return begun

        begun = asyncio.run(main())
        until = time.monotonic() + PATIENCE
        while not begun.reported and time.monotonic() < until:
            time.sleep(0.01)
        assert len(begun.reported) == 1
        asyncio.run(place.close())

    # Many at once

    @in_each_way
    async def test_jobs_run_beside_each_other(self, place: Place, way: str) -> None:
        one, two = str(self.folder / "one"), str(self.folder / "two")
        meet = function("meet", way)
        begun = [
            Begun(place, job(meet, {"mine": mine, "other": other}, on=on))
            for on, (mine, other) in enumerate([(one, two), (two, one)])
        ]
        assert [opened(*await each.ends()) for each in begun] == [1.0, 1.0]

    @in_each_way
    async def test_many_jobs_at_once_all_end_with_their_own_value(self, place: Place, way: str) -> None:
        echo = function("echo", way)
        if way == "compute":  # two never have the same processor
            found = [await value_of(place, echo, value=number) for number in range(8)]
        else:
            found = await asyncio.gather(*(value_of(place, echo, value=number) for number in range(8)))
        assert found == list(range(8))

    @pytest.mark.parametrize("way", WAYS)
    def test_jobs_come_from_the_event_loops_of_several_threads(self, way: str) -> None:
        place = self.place()
        found: dict[int, list[Any]] = {}

        async def main(on: int) -> None:
            echo = function("echo", way)
            begun = [
                await Begun(place, job(echo, {"value": (on, number)}, on=on)).ends() for number in range(3)
            ]
            found[on] = [opened(end) for (end,) in begun]

        threads = [threading.Thread(target=lambda on=on: asyncio.run(main(on))) for on in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(place.close())
        assert found == {on: [(on, number) for number in range(3)] for on in (0, 1)}

    def test_a_place_outlives_event_loops(self) -> None:
        place = self.place()
        for way in WAYS * 2:
            assert asyncio.run(value_of(place, function("echo", way), value=way)) == way
        asyncio.run(place.close())

    # The end

    def test_a_place_that_was_never_used_closes_and_so_does_one_that_is_closed(self) -> None:
        place = self.place()
        asyncio.run(place.close())
        asyncio.run(place.close())

    @in_each_way
    async def test_a_job_that_is_begun_after_the_place_was_closed_fails(self, place: Place, way: str) -> None:
        assert await value_of(place, function("echo", way), value=1) == 1
        await place.close()
        (end,) = await ends_of(place, function("echo", way), {"value": 1})
        assert "closed" in str(error_of(end))

    @in_each_way
    async def test_closing_stops_what_runs(self, place: Place, way: str) -> None:
        file = self.folder / "effect"
        begun = Begun(place, job(function("write_late", way), {"seconds": A_WHILE, "file": str(file)}))
        await _appeared(Path(f"{file}.begun"))
        await place.close()
        (end,) = await begun.ends(SOON)
        if way != "sync":  # a thread goes on until the function returns
            error_of(end)
            await asyncio.sleep(A_WHILE + 0.2)
            assert not file.exists(), "the place was closed, and the work went on"

    def test_nothing_is_left_behind(self) -> None:
        async def used() -> None:
            place = self.place()
            for way in WAYS:
                assert await value_of(place, function("echo", way), value=way) == way
                handles = await ends_of(place, function("large", way), {"fill": "x"})
                assert len(opened(handles[0])) == sample.LARGE
            await place.close()

        asyncio.run(used())  # what is made once, for all places, is there then
        before = in_use()
        asyncio.run(used())
        assert_nothing_left(before, SOON)

    def test_a_forked_child_has_nothing_of_its_parents(self) -> None:
        if not self.forks:
            pytest.skip("such a place is not used by programs that fork")
        place = self.place()

        async def both(value: int) -> None:
            for way in WAYS:
                async with asyncio.timeout(PATIENCE):
                    assert await value_of(place, function("echo", way), value=value) == value

        asyncio.run(both(0))
        for number in range(1, 4):
            child = os.fork()
            if not child:
                status = 1
                with suppress(BaseException):
                    asyncio.run(both(number))
                    asyncio.run(place.close())
                    status = 0
                os._exit(status)
            asyncio.run(both(-number))
            assert os.waitpid(child, 0)[1] == 0, "a call in the child failed, or got another's value"
        asyncio.run(both(4))
        asyncio.run(place.close())


class _Elsewhere:
    """A handle that this place didn't make."""

    text, why, here, what = None, "", False, "something"

    def __init__(self, value: Any) -> None:
        self._value = value

    def open(self) -> Any:
        return self._value

    def close(self) -> None:
        pass


def _batching(function: Function, form: Callable[..., Any]) -> Function:
    return replace(function, batch=Batch(form, "calls"))


async def _appeared(file: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(file.exists):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
