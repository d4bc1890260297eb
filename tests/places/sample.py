"""Functions that the tests call, in a module that a worker process can import."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


class UnreadableError(Exception):
    """An exception whose text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Point:
    """A value of a class of ours."""

    def __init__(self, x: int) -> None:
        self.x = x


class Stuck:
    """A value that pickles here and can't be rebuilt anywhere."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def echo(value: Any) -> Any:
    return value


def fail(kind: str, text: str) -> None:
    kinds = (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit)
    raise {made.__name__: made for made in kinds}[kind](text)


def fail_unreadably() -> None:
    raise UnreadableError


def nap(seconds: float, file: str) -> str:
    """Sleep, then write a file: the effect that a stopped call must not have."""
    time.sleep(seconds)
    Path(file).write_text("done")
    return file


async def async_echo(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def async_fail(kind: str, text: str) -> None:
    await asyncio.sleep(0)
    fail(kind, text)


async def async_fail_unreadably() -> None:
    raise UnreadableError


async def async_nap(seconds: float, file: str) -> str:
    await asyncio.sleep(seconds)
    return nap(0, file)


def move(point: Point) -> Point:
    return Point(point.x + 1)


def pid() -> int:
    return os.getpid()


def late_pid() -> int:
    time.sleep(0.2)
    return os.getpid()


def cpus() -> set[int]:
    return os.sched_getaffinity(0)


def exit_now(status: int) -> None:
    os._exit(status)


def die(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


def end_parent() -> None:
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(0.1)  # it has time for it


def segfault() -> None:
    import ctypes

    ctypes.string_at(0)


def count_up() -> Any:
    yield 1


def count_up_now() -> Any:
    """A function that isn't a generator, and returns one."""
    return count_up()


def lock() -> Any:
    return threading.Lock()


def nested_generator() -> Any:
    return {"rows": [count_up()]}


def stuck() -> Any:
    return Stuck()


def shout(characters: int) -> str:
    print("x" * characters)
    print("\udcff")
    return "quiet"


def wander(folder: str) -> str:
    os.chdir(folder)
    os.environ["LLMORCH_TEST"] = "changed"
    os.environ.pop("HOME", None)
    return str(Path.cwd())


def whereabouts() -> tuple[str, str | None, str | None]:
    return str(Path.cwd()), os.environ.get("LLMORCH_TEST"), os.environ.get("HOME")


def start_child(seconds: float, file: str) -> None:
    """Start a process that sleeps, note its number in a file, and wait for it."""
    child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    Path(file).write_text(str(child.pid))
    child.wait()


def fork_and_die(status: int) -> None:
    """End while a forked child lives on for a while."""
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
    os._exit(status)


def threads_alive() -> None:
    """Return and leave a thread that ends the process a moment later."""
    import threading

    threading.Timer(0.05, os._exit, [9]).start()


def get_away(file: str, seconds: float, end: str = "") -> None:
    """Start a process that is nobody's child, in a session of its own, deaf to polite signals; then wait."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            Path(file).write_text(str(os.getpid()))
            time.sleep(60)
        os._exit(0)
    os.wait()
    while not Path(file).exists() or not Path(file).read_text():
        time.sleep(0.005)
    if end:
        die(end)
    time.sleep(seconds)


def share(seconds: float, file: str) -> None:
    """Make shared memory with a name, note the name, and leave it there."""
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(create=True, size=1_000_000)
    Path(file).write_text(memory.name)
    time.sleep(seconds)


def hold(mebibytes: int, step: int, seconds: float = 0.0) -> int:
    """Take memory bit by bit, use it, and hold it for a while."""
    held = [bytearray(step * 2**20) for _ in range(mebibytes // step)]
    time.sleep(seconds)
    return len(held)


def hold_in_children(count: int, mebibytes: int) -> None:
    """Have processes take memory that they don't share."""
    for _ in range(count):
        if os.fork() == 0:
            hold(mebibytes, mebibytes, 30.0)
            os._exit(0)
    time.sleep(30)


def fork_with(mebibytes: int, count: int) -> int:
    """Take memory, and share it with forked processes for a while."""
    held = bytearray(mebibytes * 2**20)
    pids = []
    for _ in range(count):
        if (pid := os.fork()) == 0:
            time.sleep(0.3)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return len(held) // 2**20


def meddle(how: str, file: str = "") -> None:
    """Change something of the process that isn't the function's own."""
    import threading

    match how:
        case "a signal handler":
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        case "a blocked signal":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        case "an alarm":
            signal.setitimer(signal.ITIMER_REAL, 0.1)
        case "a thread":
            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        case "a child":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
        case "a dead child":
            if os.fork() == 0:
                os._exit(0)
        case "an output":
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), 1)
        case "a closed output":
            sys.stdout.close()
        case "an input":
            os.dup2(os.open("/dev/zero", os.O_RDONLY), 0)
        case "a closed input":
            os.close(0)
        case "a handler of a real-time signal":
            signal.signal(signal.SIGRTMIN + 3, signal.SIG_IGN)
        case "a limit of open files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        case "a limit of CPU time":
            resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))
        case "a lower priority":
            os.nice(1)
        case "recursion limit":
            sys.setrecursionlimit(100)
        case "umask":
            os.umask(0o777)
        case "path":
            sys.path.insert(0, "/nowhere")
        case "stdout":
            sys.stdout = None  # type: ignore[assignment]
        case _:
            raise ValueError(how)


def look() -> tuple[Any, ...]:
    """What ``meddle`` might have changed."""
    mask = os.umask(0o022)
    os.umask(mask)
    return (
        str(signal.getsignal(signal.SIGUSR1)),
        len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        len(sys._current_frames()),
        oct(mask),
        "/nowhere" in sys.path,
        sys.stdout is not None and not sys.stdout.closed,
        os.fstat(1).st_ino == os.fstat(2).st_ino,
        os.fstat(0).st_ino,
        str(signal.getsignal(signal.SIGRTMIN + 3)),
        resource.getrlimit(resource.RLIMIT_NOFILE),
        resource.getrlimit(resource.RLIMIT_CPU),
        os.getpriority(os.PRIO_PROCESS, 0),
        sys.getrecursionlimit(),
    )


def double(array: Any) -> Any:
    array *= 2  # it can be written to, and the caller's stays as it is
    return array


def total(arrays: list[Any]) -> float:
    return float(sum(array.sum() for array in arrays))


def size_of(value: Any) -> int:
    return len(value)


def zeros(size: int) -> Any:
    import numpy

    return numpy.zeros(size, dtype=numpy.uint8)


def environments() -> list[list[str]]:
    """The names of the variables here, in a child, and in what the system shows of this process."""
    program = "import os; print(*os.environ, sep='\\n')"
    child = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    shown = Path("/proc/self/environ")
    lines = shown.read_text().split("\0") if shown.exists() else []
    return [list(os.environ), child.stdout.split(), [line.partition("=")[0] for line in lines if line]]


def variable(name: str) -> str:
    """The value of a variable here, or nothing."""
    return os.environ.get(name, "")


def slowly(x: int) -> int:
    """What it is given, after a moment."""
    time.sleep(0.05)
    return x


def megabytes(x: int) -> bytes:
    """3 MB."""
    return bytes(3_000_000)


def length(data: bytes, more: list[bytes]) -> int:
    """How many bytes there are."""
    return len(data) + sum(map(len, more))
