"""Models asked from many threads, event loops and processes at once: what the contract doesn't ask of all."""

from __future__ import annotations

import asyncio
import atexit
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.errors import ModelError
from llmorch.models import child
from llmorch.models.local import LocalModel
from llmorch.models.model import Message, ModelRequest, Text
from llmorch.models.openai import OpenAIModel
from llmorch.models.recorded import RecordedModel
from llmorch.models.scripted import ScriptedModel
from llmorch.models.turn import Turn
from tests.models import stand_in
from tests.models.loopback import Answer, refusal, reply, serving
from tests.models.replies import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.models.model import Model

pytestmark = pytest.mark.anyio

THREADS = 200


def _request(number: int) -> ModelRequest:
    return ModelRequest((Message("user", f"number {number}"),))


async def _text(model: Model, number: int) -> str:
    return "".join([piece.text async for piece in model.stream(_request(number)) if isinstance(piece, Text)])


def _ask(model: Model, number: int) -> str:
    """The reply, or the error, in an event loop of its own."""
    try:
        return asyncio.run(asyncio.wait_for(_text(model, number), 30))
    except ModelError as error:
        return str(error)


def _together(count: int, do: Callable[[int], str]) -> list[str]:
    """What ``count`` threads come to that begin at once."""
    start = threading.Barrier(count)

    def begin(number: int) -> str:
        start.wait(30)
        return do(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def _text_of(body: dict[str, Any]) -> Answer:
    return reply(number_of(body["messages"][-1]["content"]))


# Endpoints


def test_requests_that_are_refused_at_once_for_the_same_parameter_are_all_asked_again() -> None:
    arrived = threading.Barrier(20)

    def choosy(body: dict[str, Any]) -> Answer:
        if "temperature" not in body:
            return _text_of(body)
        arrived.wait(10)  # so that no one has learned of it before the last has asked
        return refusal(400, "Unsupported value: 'temperature' does not support 0.0 with this model.")

    with serving() as endpoint:
        endpoint.answer = choosy
        model = OpenAIModel("m", endpoint.url, retries=0)
        assert _together(20, lambda number: _ask(model, number)) == [number_of(str(n)) for n in range(20)]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_pool_of_forked_processes_asks_with_the_model_that_they_were_given() -> None:
    with serving(keeps=True) as endpoint:
        endpoint.answer = _text_of
        global shared  # noqa: PLW0603  as a preloaded program has it
        shared = OpenAIModel("m", endpoint.url.replace("127.0.0.1", "127.1"), retries=0)

        async def fork() -> list[str]:
            assert await _text(shared, 7) == number_of("7")  # its connection stays open
            with multiprocessing.get_context("fork").Pool(6) as pool:
                told = await asyncio.to_thread(pool.map, _ask_shared, range(60), 1)
                pool.close()
                pool.join()
            assert await _text(shared, 8) == number_of("8")
            return told

        assert asyncio.run(fork()) == [number_of(str(n)) for n in range(60)]


shared: Model


def _ask_shared(number: int) -> str:
    return _ask(shared, number)


def test_a_loop_that_its_owner_closes_leaves_no_connection_once_it_has_ended_its_generators() -> None:
    with serving(keeps=True) as endpoint:
        endpoint.answer = _text_of
        model = OpenAIModel("m", endpoint.url.replace("127.0.0.1", "127.1"), retries=0)
        for number in range(3):
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(_text(model, number)) == number_of(str(number))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
        assert model._clients._open == {}


async def test_a_model_that_nobody_has_any_more_leaves_no_connection() -> None:
    with serving(keeps=True) as endpoint:
        endpoint.answer = _text_of
        gc.collect()  # what tests before this left
        before = open_files()
        for number in range(3):
            assert await _text(
                OpenAIModel("m", endpoint.url.replace("127.0.0.1", "127.1"), retries=0), number
            ) == number_of(str(number))
        gc.collect()
        async with asyncio.timeout(20):
            while open_files() > before:  # until the server has closed its ends too
                await asyncio.sleep(0.01)
                gc.collect()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


# Prepared and recorded replies


def test_each_prepared_reply_is_given_once_and_the_rest_is_told_that_none_is_left() -> None:
    model = ScriptedModel([str(number) for number in range(THREADS - 50)])
    told = Counter(_together(THREADS, lambda number: _ask(model, number)[:26]))
    assert told == {str(number): 1 for number in range(THREADS - 50)} | {"scripted: no reply left: 1": 50}
    assert len(model.requests) == THREADS


def test_many_threads_record_to_one_file_and_every_exchange_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "replies"
    recording = RecordedModel(path, record=ScriptedModel(lambda request: number_of(request.messages[0].text)))
    expected = [number_of(str(number)) for number in range(THREADS)]
    assert _together(THREADS, lambda number: _ask(recording, number)) == expected
    assert len(path.read_text().splitlines()) == THREADS + 1
    for replaying in (recording, RecordedModel(path)):
        assert [_ask(replaying, number) for number in range(THREADS)] == expected


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_record_to_one_file_and_every_exchange_is_whole(tmp_path: Path) -> None:
    global shared  # noqa: PLW0603  as a preloaded program has it
    path = tmp_path / "replies"
    shared = RecordedModel(path, record=ScriptedModel(lambda request: number_of(request.messages[0].text)))
    with multiprocessing.get_context("fork").Pool(6) as pool:
        told = pool.map(_ask_shared, range(100), 1)
        pool.close()
        pool.join()
    assert told == [number_of(str(number)) for number in range(100)]
    assert len(path.read_text().splitlines()) == 101
    assert [_ask(RecordedModel(path), number) for number in (0, 50, 99)] == [told[0], told[50], told[99]]


# The local model's process


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalModel:
    """A local model with a stand-in for llama.cpp."""
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(child, "_COMMAND", stand_in.COMMAND)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "w.gguf").write_bytes(b"GGUF")
    return LocalModel(f"local:{tmp_path / 'w.gguf'}")


def test_two_threads_that_start_it_at_once_start_one_process(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    popen = subprocess.Popen

    def counted(*args: Any, **options: Any) -> Any:
        started.append(args)
        return popen(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", counted)
    for _ in range(2):
        _together(8, lambda _: str(asyncio.run(local.start())))
        asyncio.run(local.close())
    assert len(started) == 2


def test_a_forked_process_has_a_process_of_its_own_and_its_end_ends_nothing_of_its_parent(
    local: LocalModel, tmp_path: Path
) -> None:
    assert _ask(local, 1) == number_of("1")
    assert local._service.child is not None
    pid = local._service.child.pid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        forked = os.fork()
    if not forked:
        try:
            told = _ask(local, 3)
            assert local._service.child.pid != pid  # type: ignore[union-attr]
            (tmp_path / "told").write_text(told)
            asyncio.run(local.close())
            inherited = local._services.popitem()[1]
            del inherited
            gc.collect()
            atexit._run_exitfuncs()
        finally:
            os._exit(0)
    os.waitpid(forked, 0)
    assert (tmp_path / "told").read_text() == number_of("3")
    assert _ask(local, 2) == number_of("2")
    assert local._service.child.pid == pid
    asyncio.run(local.close())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_ends_with_the_process_that_started_it_though_a_fork_lives_on(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "w.gguf").write_bytes(b"GGUF")
    script = f"""
import asyncio, os, threading, time
from llmorch.models import child
from llmorch.models.local import LocalModel
child._COMMAND = {stand_in.COMMAND!r}
model = LocalModel("local:{tmp_path / "w.gguf"}")
starter = threading.Thread(target=lambda: asyncio.run(model.start())); starter.start(); starter.join()
forked = os.fork()
if not forked:
    time.sleep(60)
    os._exit(0)
print(model._service.child.pid, forked, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        served, forked = map(int, parent.stdout.readline().split())
        parent.kill()
        parent.stdout.close()
    try:
        for _ in range(400):
            if not _runs(served):
                break
            time.sleep(0.05)
        assert (_runs(served), _runs(forked)) == (False, True)
    finally:
        os.kill(forked, signal.SIGKILL)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and ") Z " not in status.read_text()


def test_a_request_that_waits_for_its_turn_is_told_that_the_model_was_closed(local: LocalModel) -> None:
    async def close_amid() -> list[str]:
        await local.start()
        async with local._service.turn.taken():
            asked = asyncio.ensure_future(asyncio.to_thread(_ask, local, 1))
            while not local._service.turn._waiting:  # noqa: ASYNC110  another thread's doing
                await asyncio.sleep(0.01)
            await local.close()
        return [await asked, await asyncio.to_thread(_ask, local, 2)]

    told = asyncio.run(close_amid())
    assert told[0].endswith("the model was closed while the request waited; ask again")
    assert told[1] == number_of("2")
    asyncio.run(local.close())


# Turns


def test_a_turn_is_one_askers_at_a_time_in_the_order_in_which_they_came() -> None:
    turn, had, order = Turn(), [], []

    async def take(number: int) -> str:
        async with turn.taken():
            had.append(number)
            assert len(had) == 1
            await asyncio.sleep(0)
            order.append(had.pop())
        return ""

    async def in_order() -> None:
        await asyncio.gather(*(take(number) for number in range(10)))

    asyncio.run(in_order())
    assert order == list(range(10))
    _together(THREADS, lambda number: asyncio.run(take(number)))
    assert sorted(order) == sorted([*range(10), *range(THREADS)])


def test_who_leaves_the_queue_or_the_world_does_not_keep_the_turn() -> None:
    turn = Turn()

    async def hold() -> None:
        await turn.taken().__aenter__()

    async def leave() -> str:
        async with turn.taken():
            leaving = [asyncio.ensure_future(hold()) for _ in range(3)]
            await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            assert await asyncio.gather(*leaving, return_exceptions=True) != [None] * 3
        # One whose turn is on its way to it when it is cancelled.
        async with turn.taken():
            late = asyncio.ensure_future(hold())
            await asyncio.sleep(0)
        late.cancel()
        await asyncio.wait([late])
        async with turn.taken():
            return "had it"

    assert asyncio.run(asyncio.wait_for(leave(), 10)) == "had it"
    ended = asyncio.new_event_loop()
    ended.run_until_complete(hold())
    ended.close()
    assert asyncio.run(asyncio.wait_for(leave(), 10)) == "had it"
