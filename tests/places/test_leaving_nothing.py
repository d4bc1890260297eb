"""What is left of a call in its process, below it, and in shared memory: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.declare.functions import declaration_of
from llmorch.errors import CallError
from llmorch.places.family import children
from llmorch.places.workers import Worker, Workers
from tests.places import sample
from tests.places.test_worker import BUSY, call, ends, filled, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processes belong together"),
]

SHARED = Path("/dev/shm")
PROCESSES = {
    "a signal handler",
    "a blocked signal",
    "an alarm",
    "a thread",
    "a child",
    "a dead child",
    "an output",
    "a closed output",
    "an input",
    "a closed input",
    "a handler of a real-time signal",
    "a limit of open files",
    "a limit of CPU time",
    "a lower priority",
}
"""What is not worth mending: the next call gets another process."""


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    pool = Workers(2)
    yield pool
    asyncio.run(pool.close())


@pytest.fixture
def worker(pool: Workers) -> Worker:
    return pool.worker_for((0,))


async def failure(worker: Worker, target: Callable[..., Any], memory: int | None = None, **args: Any) -> str:
    with pytest.raises(CallError) as caught:
        await worker.execute(declaration_of(target, kind="compute", timeout=20, memory=memory), args)
    return str(caught.value)


def removed(file: Path) -> bool:
    """Whether a file goes away soon: its tracker may still be starting when the call ends."""
    end = time.monotonic() + 20
    while file.exists() and time.monotonic() < end:
        time.sleep(0.01)
    return not file.exists()


# What a call does to its process


@pytest.mark.parametrize("how", sorted(PROCESSES | {"umask", "path", "stdout", "recursion limit"}))
async def test_what_a_call_does_to_its_process_reaches_no_other(
    worker: Worker, how: str, tmp_path: Path
) -> None:
    if how == "a lower priority" and os.getpriority(os.PRIO_PROCESS, 0) == 19:
        pytest.skip("there is no lower one")
    clean = await call(worker, sample.look)
    before = await call(worker, sample.pid)
    await call(worker, sample.meddle, how=how, file=str(tmp_path / "output"))
    assert await call(worker, sample.look) == clean
    assert (await call(worker, sample.pid) != before) == (how in PROCESSES)
    await asyncio.sleep(0.15 if how == "an alarm" else 0)
    assert await call(worker, sample.echo, value=1) == 1


async def test_a_failed_call_that_leaves_something_has_its_process_replaced_too(worker: Worker) -> None:
    def leave_and_fail() -> None:
        import signal

        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise ValueError("after all")

    before = await call(worker, sample.pid)
    assert await failure(worker, leave_and_fail) == "ValueError: after all"
    assert await call(worker, sample.pid) != before


async def test_what_a_module_starts_when_it_is_imported_stays(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "starts_a_thread.py").write_text(
        "import threading, time, sys\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "sys.path.append('/somewhere')\n"
        "def where(): import os; return os.getpid(), '/somewhere' in sys.path\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import starts_a_thread  # type: ignore[import-not-found]

    sys.path.remove("/somewhere")
    first = await call(worker, starts_a_thread.where)
    assert await call(worker, starts_a_thread.where) == first
    assert first[1]
    await worker._bury(worker._current)  # type: ignore[arg-type]


# What a call starts


@pytest.mark.parametrize("end", ["returns", "is stopped", "crashes", "is cancelled"])
async def test_a_process_that_got_away_ends_with_the_call_that_started_it(
    worker: Worker, end: str, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    seconds = 0.0 if end == "returns" else 30.0
    away = declaration_of(sample.get_away, kind="compute", timeout=3 if end == "is stopped" else None)
    args = {"file": str(file), "seconds": seconds, "end": "SIGSEGV" if end == "crashes" else ""}
    task = asyncio.create_task(worker.execute(away, args))
    await asyncio.to_thread(filled, file)
    if end == "is cancelled":
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not is_alive(int(file.read_text()))
    assert await call(worker, sample.echo, value=1) == 1


async def test_shared_memory_of_a_stopped_call_is_removed(worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "name"
    task = asyncio.create_task(call(worker, sample.share, seconds=30, file=str(file)))
    await asyncio.to_thread(filled, file)
    assert (SHARED / file.read_text()).exists()
    task.cancel()
    await asyncio.wait([task])
    assert await asyncio.to_thread(removed, SHARED / file.read_text())


async def test_shared_memory_that_a_call_forgets_is_removed(worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "name"
    await call(worker, sample.share, seconds=0, file=str(file))
    assert await asyncio.to_thread(removed, SHARED / file.read_text())


def test_a_program_that_is_killed_leaves_nothing_that_its_calls_started(tmp_path: Path) -> None:
    script, file = tmp_path / "script.py", tmp_path / "pid"
    args = f'{{"file": {str(file)!r}, "seconds": 30}}'
    away = f"await pool.worker_for((0,)).execute(declaration_of(sample.get_away), {args})"
    script.write_text(BUSY.replace("END", away))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        numbers = [int(program.stdout.readline()) for _ in range(2)]
        keepers = children(program.pid)
        filled(file)
        program.kill()
        assert len(keepers) == 2
        assert all(ends(number) for number in (*numbers, int(file.read_text()), *keepers))


async def test_a_keeper_that_is_killed_is_replaced(worker: Worker) -> None:
    before = await call(worker, sample.pid)
    (keeper,) = [number for number in children(os.getpid()) if before in children(number)]
    os.kill(keeper, signal.SIGKILL)
    assert ends(before)
    assert await call(worker, sample.pid) != before


async def test_a_call_that_tells_its_parent_to_end_harms_nobody(worker: Worker) -> None:
    before = await call(worker, sample.pid)
    await call(worker, sample.end_parent)
    assert await call(worker, sample.pid) == before


async def test_after_two_hundred_stopped_calls_no_descriptor_is_open(worker: Worker, tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    file = tmp_path / "effect"
    late = declaration_of(sample.nap, kind="compute", timeout=0.001)
    await call(worker, sample.pid)
    before = descriptors()
    for _ in range(200):
        with pytest.raises(CallError, match="longer than its timeout"):
            await worker.execute(late, {"seconds": 20, "file": str(file)})
    await call(worker, sample.pid)
    assert descriptors() <= before
    assert not file.exists()
    assert len(children(os.getpid())) <= 2


# Memory


MEBIBYTE = 2**20


@pytest.mark.parametrize(("mebibytes", "step"), [(1000, 5), (1000, 1000)])
async def test_a_call_past_its_memory_fails_alone(pool: Workers, mebibytes: int, step: int) -> None:
    other = asyncio.create_task(call(pool.worker_for((1,)), sample.nap, seconds=0.5, file=os.devnull))
    error = await failure(
        pool.worker_for((0,)),
        sample.hold,
        memory=150 * MEBIBYTE,
        mebibytes=mebibytes,
        step=step,
        seconds=20.0,
    )
    assert error == "hold took more memory than its limit of 150 MiB"
    assert await other == os.devnull
    assert await call(pool.worker_for((0,)), sample.echo, value=1) == 1


async def test_memory_of_its_processes_counts_together(worker: Worker) -> None:
    error = await failure(worker, sample.hold_in_children, memory=150 * MEBIBYTE, count=4, mebibytes=60)
    assert error == "hold_in_children took more memory than its limit of 150 MiB"


async def test_memory_that_processes_share_counts_once(worker: Worker) -> None:
    shares = declaration_of(sample.fork_with, kind="compute", memory=150 * MEBIBYTE)
    assert await worker.execute(shares, {"mebibytes": 80, "count": 4}) == 80


async def test_a_call_is_not_held_to_account_for_what_another_left(worker: Worker) -> None:
    def keep(mebibytes: int) -> None:
        import sys

        sys.kept = bytearray(mebibytes * 2**20)  # type: ignore[attr-defined]

    await call(worker, keep, mebibytes=150)
    holds = declaration_of(sample.hold, kind="compute", memory=100 * MEBIBYTE)
    assert await worker.execute(holds, {"mebibytes": 50, "step": 5, "seconds": 0.1}) == 10
    unbounded = declaration_of(sample.hold, kind="compute")
    assert await worker.execute(unbounded, {"mebibytes": 250, "step": 250, "seconds": 0.1}) == 1
    await worker._bury(worker._current)  # type: ignore[arg-type]


def fill(how: str, mebibytes: int, seconds: float) -> str:
    """Take memory in some way, for so long."""
    import mmap
    import os
    import time
    from multiprocessing import shared_memory
    from tempfile import NamedTemporaryFile

    size = mebibytes * 2**20
    piece = b"x" * 2**20
    kept: list[object] = []
    if how == "private":
        kept.append(piece * mebibytes)
    elif how == "shared_memory":
        block = shared_memory.SharedMemory(create=True, size=size)
        block.buf[:] = piece * mebibytes
        block.unlink()
        kept.append(block)
    elif how in ("shared mmap", "mapped memfd"):
        number = -1
        if how == "mapped memfd":
            number = os.memfd_create("filled")
            os.ftruncate(number, size)
        mapped = mmap.mmap(number, size)
        mapped.write(piece * mebibytes)
        kept.append(mapped)
    else:
        with NamedTemporaryFile(dir="/dev/shm") as file:
            number = os.memfd_create("filled") if how == "written memfd" else file.fileno()
            for _ in range(mebibytes):
                os.write(number, piece)
            time.sleep(seconds)
    time.sleep(seconds)
    return "done"


@pytest.mark.parametrize("how", ["private", "shared_memory", "shared mmap", "mapped memfd"])
async def test_memory_that_is_mapped_counts_whoever_shares_it(worker: Worker, how: str) -> None:
    said = {"memory": 100 * MEBIBYTE, "how": how, "seconds": 10.0}
    error = await failure(worker, fill, mebibytes=160, **said)
    assert error == "fill took more memory than its limit of 100 MiB"


@pytest.mark.parametrize("how", ["written memfd", "file in /dev/shm"])
async def test_what_is_only_written_to_a_file_in_memory_does_not_count(worker: Worker, how: str) -> None:
    fills = declaration_of(fill, kind="compute", memory=40 * MEBIBYTE)
    assert await worker.execute(fills, {"how": how, "mebibytes": 80, "seconds": 0.2}) == "done"


# As many processes as calls


async def test_calls_that_wait_get_a_process_each_up_to_a_limit_and_keep_it() -> None:
    pool = Workers(limit=3)
    pids = await asyncio.gather(*(pool.execute(declaration_of(sample.late_pid), {}) for _ in range(6)))
    assert len(set(pids)) == 3
    assert await pool.execute(declaration_of(sample.pid), {}) in pids
    await pool.close()
    await pool.close()
    assert not any(is_alive(pid) for pid in pids)


def test_one_growing_pool_serves_several_event_loops_in_turn() -> None:
    pool = Workers()
    numbers = {asyncio.run(pool.execute(declaration_of(sample.pid), {})) for _ in range(3)}
    asyncio.run(pool.close())
    assert len(numbers) == 1
