"""What every model promises, as tests for anybody's: subclass ``ModelContract`` in a file of tests.

    class TestMine(ModelContract):
        def model(self) -> Model:
            return Mine()

pytest then runs the tests below against ``Mine``. Nothing here knows one model from another.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import pytest

from llmorch.declare.functions import Kind
from llmorch.errors import ModelError
from llmorch.models.model import Finished, Message, ModelRequest, Piece, Text, ToolCall
from llmorch.testing.left import assert_nothing_left, in_use

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator

    from llmorch.models.model import Model

T = TypeVar("T")


class ModelContract:
    """The promises of ``llmorch.models.model.Model``; give ``model``, and what else there is."""

    threads = 8
    """How many threads ask at once, each with an event loop of its own."""
    forks = 4
    """How many processes are forked meanwhile, each of which asks."""
    within = 30.0
    """Seconds within which anything ends; past it, it hangs."""

    def model(self) -> Model:
        """A model that replies to ``request(number)``, whatever the number."""
        raise NotImplementedError

    def request(self, number: int) -> ModelRequest:
        """A request that no other number has."""
        return ModelRequest((Message("user", f"Say the number {number}."),), max_tokens=16)

    def reply(self, number: int) -> str | None:
        """The whole reply to ``request(number)``; ``None`` where nobody can know it."""
        return None

    def failing(self) -> Model | None:
        """A model whose reply to ``request(0)`` is an error, if there can be one."""
        return None

    def endless(self) -> Model | None:
        """A model whose reply to ``request(0)`` is so long that no test waits for its end, if there can be one."""
        return None

    def stopped(self) -> bool:
        """Whether the endless reply is no longer made; may wait."""
        return True

    # Its replies

    def test_a_reply_is_any_number_of_pieces_and_then_one_finished(self) -> None:
        *pieces, finished = self._run(self._pieces(self.model(), 1))
        assert all(isinstance(piece, Text | ToolCall) for piece in pieces)
        assert isinstance(finished, Finished)
        assert finished.reason in ("stop", "length")

    def test_a_model_answers_again_and_two_at_once(self) -> None:
        model = self.model()

        async def ask() -> dict[int, str]:
            first, second = await asyncio.gather(self._ask(model, 1), self._ask(model, 2))
            third = await self._ask(model, 3)
            await model.close()
            return {1: first, 2: second, 3: third}

        self._hold(self._run(ask()))

    def test_a_model_has_a_name_of_one_line_and_a_kind(self) -> None:
        model = self.model()
        assert len(model.name.splitlines()) == 1
        assert model.kind in get_args(Kind)
        assert {type(model.constrains), type(model.calls_tools)} == {bool}

    def test_a_failure_is_a_model_error_of_one_line(self) -> None:
        with pytest.raises(ModelError) as raised:
            self._run(self._pieces(_given(self.failing()), 0))
        assert len(str(raised.value).splitlines()) == 1

    # Its end

    def test_closing_the_iterator_early_stops_the_generation(self) -> None:
        model = _given(self.endless())

        async def read_one() -> None:
            async with aclosing(self._stream(model, 0)) as pieces:
                assert not isinstance(await anext(pieces), Finished)
            assert await asyncio.to_thread(self.stopped)

        self._run(read_one())

    def test_cancelling_the_reader_stops_the_generation(self) -> None:
        model = _given(self.endless())

        async def read() -> None:
            begun = asyncio.Event()

            async def all_of_it() -> None:
                async with aclosing(self._stream(model, 0)) as pieces:
                    async for _ in pieces:
                        begun.set()

            reader = asyncio.ensure_future(all_of_it())
            await begun.wait()
            reader.cancel()
            await asyncio.wait([reader])
            assert await asyncio.to_thread(self.stopped)

        self._run(read())

    def test_close_may_be_called_twice_leaves_nothing_and_a_later_stream_starts_again(self) -> None:
        async def ask_and_close(model: Model) -> str:
            try:
                return await self._ask(model, 1)
            finally:
                await model.close()
                await model.close()

        self._run(ask_and_close(self.model()))  # imports what it needs, and opens what stays open for all
        with _nothing_left():
            model = self.model()
            for _ in range(2):
                self._hold({1: self._run(ask_and_close(model))})

    def test_who_is_answered_while_another_loop_closes_the_model_is_not_left_waiting(self) -> None:
        endless = self.endless()
        model = endless or self.model()
        begun = threading.Event()

        async def read() -> str:
            try:
                async for _ in self._stream(model, 0):
                    begun.set()
                    await asyncio.sleep(0)
            except ModelError as error:
                return str(error)
            finally:
                begun.set()
            return "whole"

        async def close() -> None:
            await asyncio.gather(model.close(), model.close())

        with _nothing_left():
            with ThreadPoolExecutor(1) as pool:
                reading = pool.submit(lambda: self._run(read()))
                assert begun.wait(self.within)
                self._run(close())
                ended = reading.result()
            self._run(close())
        assert len(ended.splitlines()) == 1
        assert ended != "whole" or endless is None

    # Many at once

    def test_many_event_loops_ask_at_once_and_each_gets_its_own_replies(self) -> None:
        model = self.model()
        start = threading.Barrier(self.threads)

        async def ask(thread: int) -> dict[int, str]:
            numbers = range(thread * 3, thread * 3 + 3)
            first, *others = numbers
            heard = {first: await self._ask(model, first)}
            replies = await asyncio.gather(*(self._ask(model, number) for number in others))
            return heard | dict(zip(others, replies, strict=True))

        def together(thread: int) -> dict[int, str]:
            start.wait(self.within)
            return self._run(ask(thread))

        with _nothing_left():
            with ThreadPoolExecutor(self.threads) as pool:
                heard = list(pool.map(together, range(self.threads)))
            self._run(model.close())
        self._hold({number: reply for replies in heard for number, reply in replies.items()})
        assert sum(map(len, heard)) == 3 * self.threads

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked on this system")
    def test_a_forked_process_is_answered_or_told_why_not_and_its_parent_goes_on(self) -> None:
        model = self.model()
        done = threading.Event()

        async def go_on() -> dict[int, str]:
            heard, number = {}, 0
            while not done.is_set() or number == 0:
                number += 1
                heard[number] = await self._ask(model, number)
            return heard

        async def ask_and_close(number: int) -> str:
            reply = await self._ask(model, number)
            await model.close()
            return reply

        def answered(number: int) -> str:
            return self._run(ask_and_close(number))

        async def fork() -> dict[int, str]:
            # Forked from a running event loop, which has connections open: the worst place there is.
            heard = {0: await self._ask(model, 0)}
            for first in range(1000, 1000 + self.forks, 4):
                last = min(first + 4, 1000 + self.forks)
                forked = {number: _forked(partial(answered, number)) for number in range(first, last)}
                for number, child in forked.items():
                    reply = await asyncio.to_thread(_said, child, self.within)
                    heard |= {} if reply is None else {number: reply}
                heard[first - 1000 + 1] = await self._ask(model, first - 1000 + 1)
            return heard

        with _nothing_left():
            with ThreadPoolExecutor(1) as pool:
                within = self.within * self.forks
                beside = pool.submit(lambda: self._run(go_on(), within))
                try:
                    heard = self._run(fork(), within)
                finally:
                    done.set()
                self._hold(beside.result())
            self._run(model.close())
        self._hold(heard)

    # What the tests are made of

    def _run(self, asking: Coroutine[Any, Any, T], within: float | None = None) -> T:
        return asyncio.run(asyncio.wait_for(asking, within or self.within))

    def _stream(self, model: Model, number: int) -> AsyncGenerator[Piece, None]:
        return cast("AsyncGenerator[Piece, None]", model.stream(self.request(number)))

    async def _pieces(self, model: Model, number: int) -> list[Piece]:
        try:
            return [piece async for piece in self._stream(model, number)]
        finally:
            await model.close()

    async def _ask(self, model: Model, number: int) -> str:
        *pieces, finished = [piece async for piece in self._stream(model, number)]
        assert isinstance(finished, Finished)
        return "".join(piece.text if isinstance(piece, Text) else str(piece) for piece in pieces)

    def _hold(self, heard: dict[int, str]) -> None:
        """Replies are those to their requests, as far as anybody knows."""
        assert heard == {number: self.reply(number) or heard[number] for number in heard}


def _given(model: Model | None) -> Model:
    if model is None:
        pytest.skip("the subclass gives no such model")
    return model


@contextmanager
def _nothing_left() -> Iterator[None]:
    """Neither a child process, nor an open file, nor a warning of one that was left."""
    gc.collect()
    before = {what: count for what, count in in_use().items() if what != "threads"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # that a process with threads forks
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert_nothing_left(before)


def _forked(say: Callable[[], str]) -> tuple[int, int]:
    """A forked process and where it will tell what ``say`` returns or raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            try:
                said = "reply " + say()
            except BaseException as error:
                said = f"{type(error).__name__} {error}"
            os.write(writing, said.encode())
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def _said(child: tuple[int, int], within: float) -> str | None:
    """The reply that a forked process got; ``None`` where it got a ``ModelError``."""
    pid, reading = child
    with os.fdopen(reading, "rb") as pipe:
        in_time = select.select([pipe], [], [], within)[0]
        if not in_time:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kind, _, said = pipe.read().decode().partition(" ")
    assert kind in ("reply", "ModelError"), f"a forked process got {kind or 'nothing in time'} {said}"
    return said if kind == "reply" else None
