"""Compute calls in processes of their own: what crosses, and what ends them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy
import pytest

from llmorch.declare.decorator import function
from llmorch.declare.functions import declaration_of
from llmorch.errors import CallError
from llmorch.places import anonymous
from llmorch.places.wire import Inbox, pack, prepared
from llmorch.places.workers import Worker, Workers
from llmorch.testing.sample import meet, write_late
from tests.places import sample
from tests.places.conftest import children, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do this")


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    """Two workers for the whole module: they outlive the event loop of each test."""
    pool = Workers(2)
    pool.start()
    yield pool
    asyncio.run(pool.close())


@pytest.fixture
def worker(pool: Workers) -> Worker:
    return pool.worker_for((0,))


def each(pool: Workers) -> list[Worker]:
    return [pool.worker_for((0,)), pool.worker_for((1,))]


async def call(worker: Worker, target: Callable[..., Any], timeout: float | None = None, **args: Any) -> Any:
    return await worker.execute(declaration_of(target, kind="compute", timeout=timeout), args)


async def failure(worker: Worker, target: Callable[..., Any], **args: Any) -> str:
    with pytest.raises(CallError) as caught:
        await call(worker, target, **args)
    return str(caught.value)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform != "linux":
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:  # it has just been reaped
        return False


def ends(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process ends within some seconds."""
    end = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_alive(pid)


def filled(file: Path) -> None:
    """Wait until a file has been written."""
    while not file.exists() or not file.read_text():
        time.sleep(0.01)


BUSY = f"""
import asyncio, os, sys, time
sys.path.insert(0, {str(Path(sample.__file__).parent)!r})
import sample
from llmorch.declare.functions import declaration_of
from llmorch.places.workers import Workers

async def main():
    global pool
    pool = Workers(2)
    print(await pool.worker_for((0,)).execute(declaration_of(sample.pid), {{}}), flush=True)
    print(await pool.worker_for((1,)).execute(declaration_of(sample.pid), {{}}), flush=True)
    END

asyncio.run(main())
"""


# Where a call runs


async def test_each_worker_is_one_process_of_its_own(pool: Workers) -> None:
    numbers = [await call(worker, sample.pid) for worker in (*each(pool), *each(pool))]
    assert numbers[:2] == numbers[2:] == [worker.pid for worker in each(pool)]
    assert len({*numbers, os.getpid()}) == 3


@linux
async def test_workers_are_pinned_to_the_cpus_we_may_use_in_turn(pool: Workers) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    pinned = [await call(worker, sample.cpus) for worker in each(pool)]
    assert pinned == [{allowed[0]}, {allowed[1 % len(allowed)]}]


async def test_two_compute_calls_run_beside_each_other(pool: Workers, tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    first, second = each(pool)
    met = [call(first, meet, mine=one, other=two), call(second, meet, mine=two, other=one)]
    assert await asyncio.gather(*met) == [1.0, 1.0]


# Which functions can be called


async def test_a_closure_and_a_lambda_cross_by_value(worker: Worker) -> None:
    offset = 10
    shift = declaration_of(lambda x: x + offset, name="shift")
    assert await worker.execute(shift, {"x": 1}) == 11

    def add(x: int) -> int:
        return x + offset

    assert await call(worker, add, x=1) == 11


async def test_a_decorated_closure_leaves_its_declaration_behind(worker: Worker) -> None:
    @function(kind="compute")
    def loaded() -> bool:
        return "llmorch.declare.functions" in sys.modules

    assert await call(worker, loaded) is False


async def test_annotations_that_cant_be_sent_are_left_behind(worker: Worker) -> None:
    def twice(n: int) -> int:
        return 2 * n

    twice.__annotations__["n"] = Annotated[int, threading.Lock()]
    assert await call(worker, twice, n=2) == 4


async def test_a_function_that_cant_be_sent_is_named_with_the_reason(worker: Worker) -> None:
    rows = sample.count_up()

    def take() -> Any:
        return next(rows)

    assert await failure(worker, take) == (
        "take can't be sent to another process: it uses rows, a value of type generator "
        "(TypeError: cannot pickle 'generator' object); "
        "define it in a module, or make inside it what it uses"
    )


async def test_a_function_that_the_worker_cant_import_is_named_with_the_reason(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    module = types.ModuleType("made_up")
    exec("def lost(): return 1", module.__dict__)
    monkeypatch.setitem(sys.modules, "made_up", module)
    assert await failure(worker, module.lost) == (
        "lost can't be loaded in a worker process: ModuleNotFoundError: No module named 'made_up'; "
        "define it in a module that can be imported from anywhere"
    )


async def test_a_folder_added_to_the_path_later_is_searched_too(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await call(worker, sample.pid)
    (tmp_path / "added_later.py").write_text("def where(): return __name__\n")
    monkeypatch.syspath_prepend(tmp_path)
    import added_later  # type: ignore[import-not-found]

    assert await call(worker, added_later.where) == "added_later"


def test_a_script_needs_no_main_guard_and_its_classes_cross_both_ways(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import asyncio
from dataclasses import dataclass
from llmorch.declare.functions import declaration_of
from llmorch.places.workers import Workers

print("imported")
FACTOR = 3

@dataclass
class Point:
    x: int

def scale(point):
    return Point(point.x * FACTOR)

async def main():
    pool = Workers(1)
    moved = await pool.worker_for((0,)).execute(declaration_of(scale), {"point": Point(2)})
    await pool.close()
    print(moved, type(moved) is Point)

asyncio.run(main())
""")
    assert _run(script) == (0, "imported\nPoint(x=6) True\n", "")


def _run(script: Path) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-W", "error", script], timeout=60, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


# What crosses


async def test_a_value_of_a_class_in_a_module_crosses_by_reference(worker: Worker) -> None:
    moved = await call(worker, sample.move, point=sample.Point(1))
    assert (type(moved), moved.x) == (sample.Point, 2)


async def test_an_array_arrives_writable_and_the_senders_stays_as_it_is(worker: Worker) -> None:
    for length in (10, 10_000, 1_000_000):  # in the stream, in a file that is read, in one that is mapped
        array = numpy.ones(length)
        doubled = await call(worker, sample.double, array=array)
        doubled += 1
        assert (array.sum(), doubled.sum()) == (length, 3 * length)


async def test_several_arrays_and_a_long_text_cross_in_one_call(worker: Worker) -> None:
    arrays = [numpy.full(50_000 + number, number, dtype=numpy.float32) for number in range(5)]
    assert await call(worker, sample.total, arrays=arrays) == sum(float(array.sum()) for array in arrays)
    for length in (65_500, 65_600, 3_000_000):
        text = "ä" * length
        assert await call(worker, sample.echo, value=text) == text
        assert await call(worker, sample.echo, value=text.encode()) == text.encode()


async def test_a_read_only_array_stays_read_only(worker: Worker) -> None:
    array = numpy.zeros(200_000)
    array.flags.writeable = False
    assert (await call(worker, sample.echo, value=array)).flags.writeable is False


async def test_more_arrays_than_can_stay_mapped_are_all_right(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anonymous, "FILES", 3)
    kept = [await call(worker, sample.zeros, size=anonymous.MAPPED) for _ in range(8)]
    assert [int(array.sum()) for array in kept] == [0] * 8


def _held() -> tuple[int, set[Path]]:
    """How many descriptors are open, and what is in shared memory."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), shared(at_least=10_000_000)


@linux
async def test_large_values_leave_no_descriptor_open_and_nothing_in_shared_memory(worker: Worker) -> None:
    await call(worker, sample.zeros, size=10_000_000)
    before = _held()
    for _ in range(5):
        array = await call(worker, sample.zeros, size=10_000_000)
        await call(worker, sample.size_of, value=array)
    del array
    descriptors, shared = _held()
    assert descriptors <= before[0]  # what processes of earlier tests printed into may close meanwhile
    assert shared <= before[1]


async def test_writing_a_large_argument_leaves_the_event_loop_free(worker: Worker) -> None:
    array = numpy.ones(12_000_000)
    await call(worker, sample.size_of, value=array)
    gaps = []

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - began)

    watching = asyncio.create_task(watch())
    assert await call(worker, sample.size_of, value=array) == 12_000_000
    watching.cancel()
    assert len(gaps) > 3


async def test_without_memfd_a_temporary_file_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.delattr(os, "memfd_create", raising=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        prepared(ours)
        array = numpy.arange(500_000)
        assert pack(1, array).send(ours) == b""
        message = Inbox(theirs).receive()
        assert message is not None
        assert (message.value() == array).all()


async def test_a_result_that_cant_be_sent_fails_that_call_alone(worker: Worker) -> None:
    before = await call(worker, sample.pid)
    advice = "return plain data"
    assert await failure(worker, sample.lock) == (
        f"lock returned a lock, which can't be sent to another process: {advice}"
    )
    assert await failure(worker, sample.nested_generator) == (
        "nested_generator returned a dict, which can't be sent to another process "
        f"(TypeError: cannot pickle 'generator' object): {advice}"
    )
    assert (await failure(worker, sample.stuck)).startswith(
        "stuck returned what can't be read here: ValueError"
    )
    assert await call(worker, sample.pid) == before


async def test_an_argument_that_cant_be_sent_is_named(worker: Worker) -> None:
    before = await call(worker, sample.pid)
    assert await failure(worker, sample.echo, value=sample.count_up()) == (
        "echo can't be called: its argument value, a value of type generator, can't be sent to another "
        "process (TypeError: cannot pickle 'generator' object); pass plain data"
    )
    assert (await failure(worker, sample.echo, value=sample.Stuck())).startswith(
        "echo can't be called: its arguments can't be read in a worker process: ValueError: invalid literal"
    )
    assert await call(worker, sample.pid) == before


# What a function may do to its process


async def test_the_current_directory_and_the_environment_are_put_back(worker: Worker, tmp_path: Path) -> None:
    before = await call(worker, sample.whereabouts)
    folder = tmp_path / "folder"
    folder.mkdir()
    assert await call(worker, sample.wander, folder=str(folder)) == str(folder)
    folder.rmdir()
    assert await call(worker, sample.whereabouts) == before == (str(Path.cwd()), None, os.environ.get("HOME"))


def test_what_a_call_prints_goes_to_standard_error_up_to_a_limit(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import asyncio, sys
sys.path.insert(0, {str(Path(sample.__file__).parent)!r})
import sample
from llmorch.declare.functions import declaration_of
from llmorch.places.workers import Workers

async def main():
    pool = Workers(1)
    print(await pool.worker_for((0,)).execute(declaration_of(sample.shout), {{"characters": 30_000_000}}))
    print(await pool.worker_for((0,)).execute(declaration_of(sample.shout), {{"characters": 10}}))
    await pool.close()

asyncio.run(main())
""")
    status, output, errors = _run(script)
    assert (status, output) == (0, "quiet\nquiet\n")
    assert errors.count("[more output of this call is dropped]") == 1
    assert 60_000 < errors.count("x") < 70_000


def test_a_reader_of_standard_error_that_went_away_breaks_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    shout = (
        'print(await pool.worker_for((0,)).execute(declaration_of(sample.shout), {"characters": 300_000}))'
    )
    script.write_text(BUSY.replace("END", shout))
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=writing, text=True
    ) as program:
        os.close(writing)
        os.close(reading)
        assert program.stdout is not None
        assert program.stdout.read().split()[2:] == ["quiet"]


async def test_a_current_directory_that_is_gone_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    worker = Worker()
    assert await call(worker, sample.echo, value=1) == 1
    await worker.close()


@pytest.mark.parametrize(
    ("target", "args", "how"),
    [
        (sample.exit_now, {"status": 3}, "exit_now ended its process (exit status 3)"),
        (sample.exit_now, {"status": 0}, "exit_now ended its process (exit status 0)"),
        (sample.segfault, {}, "segfault ended its process (signal SIGSEGV)"),
        (sample.die, {"name": "SIGKILL"}, "die ended its process (signal SIGKILL)"),
        (sample.fork_and_die, {"status": 4}, "fork_and_die ended its process (exit status 4)"),
    ],
)
async def test_the_end_of_a_process_fails_that_call_alone(
    pool: Workers, target: Callable[..., Any], args: dict[str, Any], how: str
) -> None:
    before = await call(pool.worker_for((1,)), sample.pid)
    assert await failure(pool.worker_for((0,)), target, **args) == how
    assert await call(pool.worker_for((0,)), sample.echo, value=1) == 1
    assert await call(pool.worker_for((1,)), sample.pid) == before


async def test_a_process_that_ended_while_idle_is_replaced_and_no_call_is_blamed(worker: Worker) -> None:
    for wait in (0.0, 0.05):
        before = await call(worker, sample.pid)
        os.kill(before, signal.SIGKILL)
        assert ends(before)
        await asyncio.sleep(wait)  # whether or not the event loop has heard of it
        assert await call(worker, sample.pid) not in (before, None)


async def test_a_thread_that_ends_the_process_after_its_call_is_no_later_calls_fault(worker: Worker) -> None:
    await call(worker, sample.threads_alive)
    await asyncio.sleep(0.15)
    assert await call(worker, sample.echo, value=1) == 1


# What stops a call


async def test_cancelling_kills_what_the_function_started_too(worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "child"
    task = asyncio.create_task(call(worker, sample.start_child, seconds=30, file=str(file)))
    await asyncio.to_thread(filled, file)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends(int(file.read_text()))


async def test_after_a_cancellation_the_processor_is_back_at_once(worker: Worker, tmp_path: Path) -> None:
    before = await call(worker, sample.pid)
    file = tmp_path / "effect"
    task = asyncio.create_task(call(worker, write_late, seconds=60, file=str(file)))
    await asyncio.to_thread(filled, Path(f"{file}.begun"))
    async with asyncio.timeout(20):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not is_alive(before)
        assert before not in children()  # not even a zombie
        assert await call(worker, sample.pid) != before


async def test_a_timeout_counts_the_call_and_not_the_start_of_its_process(tmp_path: Path) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(1)\ndef quick(): return 1\n")
    sys.path.insert(0, str(tmp_path))
    worker = Worker()
    try:
        import slow_to_import  # type: ignore[import-not-found]

        assert await call(worker, slow_to_import.quick, timeout=0.8) == 1
    finally:
        sys.path.remove(str(tmp_path))
        await worker.close()


async def test_cancelling_while_the_process_starts_leaves_it_to_the_next_call() -> None:
    worker = Worker()
    task = asyncio.create_task(call(worker, sample.pid))
    await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    assert await call(worker, sample.echo, value=1) == 1
    await worker.close()


async def test_cancelling_many_times_at_any_moment_never_mixes_up_results(worker: Worker) -> None:
    for number in range(12):
        task = asyncio.create_task(call(worker, sample.echo, value=f"late {number}"))
        await asyncio.sleep(0.0004 * number)
        task.cancel()
        await asyncio.wait([task])
        assert await call(worker, sample.echo, value=number) == number


# What becomes of the processes


async def test_closing_stops_a_running_call_and_says_so(tmp_path: Path) -> None:
    pool = Workers(1)
    file = tmp_path / "effect"
    task = asyncio.create_task(call(pool.worker_for((0,)), write_late, seconds=60, file=str(file)))
    await asyncio.to_thread(filled, Path(f"{file}.begun"))
    await pool.close()
    with pytest.raises(CallError, match=r"^write_late was stopped: its processors were closed$"):
        async with asyncio.timeout(20):  # it hears of that at once
            await task


def test_a_worker_is_heard_where_its_call_is_while_the_event_loop_before_is_held_up() -> None:
    pool = Workers(1)
    worker = pool.worker_for((0,))
    called, go_on, found = threading.Event(), threading.Event(), []

    async def first() -> None:
        found.append(await call(worker, sample.echo, value=0))
        called.set()
        go_on.wait(30)  # not even the event loop goes on
        found.append(await call(worker, sample.echo, value=4))

    thread = threading.Thread(target=lambda: asyncio.run(first()))
    thread.start()
    called.wait(30)
    for value in (1, 2, 3):
        found.append(asyncio.run(asyncio.wait_for(call(worker, sample.echo, value=value), 20)))
    go_on.set()
    thread.join()
    asyncio.run(pool.close())
    assert found == [0, 1, 2, 3, 4]


async def test_an_idle_process_runs_its_exit_handlers_when_closed(tmp_path: Path) -> None:
    file = tmp_path / "ended"

    def note_the_end() -> None:
        import atexit
        from pathlib import Path

        atexit.register(Path(str(file)).touch)

    pool = Workers(1)
    await call(pool.worker_for((0,)), note_the_end)
    await pool.close()
    assert file.exists()


async def test_a_pool_that_is_closed_before_it_is_up_leaves_nothing_behind() -> None:
    before = children()
    pool = Workers(3)
    pool.start()
    await pool.close()
    await pool.close()
    assert children() <= before


async def test_killing_a_pool_ends_it_without_an_event_loop(pool: Workers) -> None:
    another = Workers(2)
    numbers = [await call(worker, sample.pid) for worker in each(another)]
    await asyncio.to_thread(another.kill)
    another.kill()
    await another.close()
    assert not any(is_alive(number) for number in numbers)
    assert await call(pool.worker_for((0,)), sample.echo, value=1) == 1


async def test_a_pool_that_is_dropped_ends_its_processes() -> None:
    pool = Workers(1)
    number = await call(pool.worker_for((0,)), sample.pid)
    del pool
    gc.collect()
    assert ends(number)


def test_one_pool_serves_several_event_loops_in_turn() -> None:
    pool = Workers(1)
    numbers = {asyncio.run(call(pool.worker_for((0,)), sample.pid)) for _ in range(3)}
    asyncio.run(pool.close())
    assert len(numbers) == 1


async def test_a_pool_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="at least one processor"):
        Workers(0)


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "raise ValueError"])
def test_a_program_that_never_closes_its_pool_leaves_nothing_behind(end: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BUSY.replace("END", end))
    status, output, errors = _run(script)
    assert (status, "Warning" in errors) == (int("raise" in end), False)
    assert len(output.split()) == 2
    assert all(ends(int(number)) for number in output.split())


@linux
def test_a_program_that_is_killed_leaves_no_worker_however_busy(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    nap = (
        'await pool.worker_for((0,)).execute(declaration_of(sample.nap), {"seconds": 30, "file": os.devnull})'
    )
    script.write_text(BUSY.replace("END", nap))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        numbers = [int(program.stdout.readline()) for _ in range(2)]
        time.sleep(0.1)
        program.kill()
        assert all(ends(number) for number in numbers)


def test_interrupting_the_program_does_not_reach_its_workers_first(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    nap = """
    try:
        asyncio.get_running_loop().call_later(0.1, lambda: print("waits", flush=True))
        await pool.worker_for((0,)).execute(declaration_of(sample.nap), {"seconds": 60, "file": os.devnull})
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        await pool.close()
"""
    script.write_text(BUSY.replace("    END\n", nap))
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        numbers = [int(program.stdout.readline()) for _ in range(2)]
        assert program.stdout.readline() == "waits\n"
        os.killpg(program.pid, signal.SIGINT)  # what Ctrl-C does
        output, errors = program.communicate(timeout=40)
    assert (output, errors) == ("cancelled\n", "")
    assert all(ends(number) for number in numbers)


def test_a_worker_imports_nothing_it_does_not_need() -> None:
    program = "import sys; from llmorch.places.worker import main; print(*sys.modules)"
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    needless = {
        "asyncio",
        "cloudpickle",
        "ctypes",
        "dataclasses",
        "inspect",
        "llmorch.declare.functions",
        "pydantic",
    }
    assert needless & set(listed.stdout.split()) == set()
