"""Worker processes, each a processor of its own for compute calls.

Decides when a process starts, ends and is replaced, and what its end means for the call
it was running. It must not know which call should run where. How values cross is in
``wire.py``; what happens on the other side is in ``worker.py``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from llmorch.errors import CallError
from llmorch.processors.failure import described
from llmorch.processors.files import LOADED_FILES
from llmorch.processors.wire import Inbox, Parcel, pack, prepared
from llmorch.processors.worker import CALL, DONE, RAISED, READY, REFUSED, REMEMBER, SURROUNDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from llmorch.functions import Function
    from llmorch.processors.wire import Message

T = TypeVar("T")

ON_LOOP = 1024 * 1024
"""More than this, in bytes, is written to its file on a thread and not on the event loop."""
GRACE = 1.0
"""Seconds an idle process has to end by itself, its exit handlers included."""


class _LateError(Exception):
    """A call took longer than its function's timeout."""


class _Process:
    """One worker process as seen from here: its socket, and what it already knows."""

    def __init__(self, popen: subprocess.Popen[bytes], connection: socket.socket, path: list[str]) -> None:
        self.connection = connection
        self.ready = False
        self.known: dict[int, Callable[..., Any]] = {}
        self.surroundings: tuple[list[str], int] = (path, 0)
        self._popen = popen
        self._descriptor = connection.fileno()  # a socket's repr is dear, and selectors makes it
        self._inbox = Inbox(connection)
        self._waiter: asyncio.Future[Message | None] | None = None

    @property
    def gone(self) -> bool:
        """Whether it ended while nothing ran on it."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def started(self) -> None:
        """Wait for the program to be ready for its first message."""
        if not self.ready:
            await self._exchange(None, None)

    async def ask(self, parcel: Parcel, timeout: float | None = None) -> Message:
        """Send a message and return the answer.

        Raises ``EOFError`` if the process ended, ``_LateError`` after ``timeout`` seconds.
        """
        answer = await self._exchange(parcel, timeout)
        assert answer is not None
        return answer

    async def _exchange(self, parcel: Parcel | None, timeout: float | None) -> Message | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Message | None] = loop.create_future()
        self._waiter = waiter
        # Only while we wait, so that one pool serves several event loops in turn.
        loop.add_reader(self._descriptor, self._readable)
        timer = loop.call_later(timeout, _expire, waiter) if timeout is not None else None
        try:
            if parcel is not None:
                rest = parcel.send(self.connection)
                if rest:
                    await loop.sock_sendall(self.connection, rest)
            return await waiter
        except ConnectionError:
            raise EOFError from None
        finally:
            loop.remove_reader(self._descriptor)
            if timer is not None:
                timer.cancel()
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # it may have come while we were cancelled
            self._waiter = None

    def _readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        try:
            message = self._inbox.receive()
        except EOFError as error:
            waiter.set_exception(error)
            return
        if message is None:
            return
        if message.kind == READY:  # noted here: whoever waits for it may be cancelled now
            self.ready = True
            message = None
        waiter.set_result(message)

    def kill(self) -> None:
        """End the process and every process it started, at once."""
        if self._popen.returncode is None:  # a process that is reaped gave its number back
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def reap(self) -> str:
        """Wait for the killed process to be gone, and say how it ended. Blocks."""
        with suppress(subprocess.TimeoutExpired):  # stuck in the kernel: nothing helps
            self._popen.wait(timeout=5)
        self.connection.close()
        status = self._popen.returncode
        if status is None or status >= 0:
            return f"exit status {status}"
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"

    def end(self, grace: float) -> None:
        """Let an idle process end by itself, then kill what is left of it. Blocks."""
        if grace:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(grace)
                while self.connection.recv(1024):
                    pass
        self.kill()
        self.reap()


def _expire(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(_LateError())


class Worker:
    """A processor that is a process of its own, pinned to a CPU where the platform can.

    It runs one call at a time; a second one waits its turn. A process that crashed, or
    was killed to stop a call, is replaced.
    """

    def __init__(self, index: int = 0, *, starter: ThreadPoolExecutor | None = None) -> None:
        # On Linux a worker dies with the *thread* that started it, so all are started
        # on one thread that lives as long as they may.
        self._starter = starter or _new_starter()
        self._owns_starter = starter is None
        self._cpu = _cpu_of(index)
        self._coming: Future[_Process] | None = None
        self._closed = False
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Lock

    @property
    def pid(self) -> int | None:
        """The process that is running now, if one is."""
        coming = self._coming
        if coming is None or not coming.done() or coming.exception() is not None:
            return None
        return coming.result()._popen.pid

    def start(self) -> None:
        """Start the process without waiting for it, unless it is there already."""
        if self._coming is None and not self._closed:
            self._coming = self._starter.submit(self._spawn)

    def _spawn(self) -> _Process:
        if self._closed:
            raise CallError("its processor is closed")
        ours, theirs = socket.socketpair()
        path = list(sys.path)
        program = (
            f"import sys; sys.path[:] = {_absolute(path)!r}\n"
            f"from llmorch.processors.worker import main; main({theirs.fileno()}, {os.getpid()}, {self._cpu})"
        )
        try:
            with theirs:
                popen = subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    stdout=_standard_error(),  # our standard output is the answer and nothing else
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for us; and one signal reaches all it started
                )
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        return _Process(popen, prepared(ours), path)

    async def execute(self, function: Function, args: Mapping[str, Any]) -> Any:
        """Call ``function`` with ``args`` in the process and return what it returns."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._turn = asyncio.Lock()
        async with self._turn:
            process = await self._process(function)
            try:
                self._busy = True
                return await self._call(process, function, args)
            except EOFError:
                how = await self._bury(process)
                ended = (
                    "was stopped: its processor was closed" if self._closed else f"ended its process ({how})"
                )
                raise CallError(f"{function.name} {ended}") from None
            except _LateError:
                await self._bury(process)
                raise CallError(
                    f"{function.name} took longer than its timeout of {function.timeout:g} s"
                ) from None
            except asyncio.CancelledError:
                await self._bury(process)
                raise
            finally:
                self._busy = False

    async def _process(self, function: Function) -> _Process:
        """The process, up and ready."""
        while True:
            if self._closed:
                raise CallError(f"{function.name} can't be called: its processor is closed")
            self.start()
            coming = self._coming
            assert coming is not None
            try:
                process = coming.result() if coming.done() else await _wait(coming)
            except (OSError, CallError) as error:
                self._coming = None
                raise CallError(
                    f"{function.name} can't be called: no process could be started: {error}"
                ) from None
            if process.ready and process.gone:
                await self._bury(process)
                continue
            try:
                await process.started()
            except EOFError:
                how = await self._bury(process, replace=False)
                raise CallError(
                    f"{function.name} can't be called: its process ended before it was ready ({how}); "
                    "the reason is on standard error"
                ) from None
            return process

    async def _call(self, process: _Process, function: Function, args: Mapping[str, Any]) -> Any:
        if (sys.path, len(LOADED_FILES)) != process.surroundings:
            process.surroundings = (list(sys.path), len(LOADED_FILES))
            await process.ask(pack(SURROUNDINGS, (_absolute(sys.path), LOADED_FILES)))
        call = function.call
        if id(call) not in process.known:
            answer = await process.ask(_remember(function))
            if answer.kind != DONE:
                message, detail = answer.value()
                raise CallError(
                    f"{function.name} can't be loaded in a worker process: {message}; "
                    "define it in a module that can be imported from anywhere",
                    detail=detail,
                )
            process.known[id(call)] = call  # held, so that its id stays its own
        parcel = _packed(function, args)
        if parcel.size > ON_LOOP:
            await asyncio.to_thread(_written, parcel, function)
        answer = await process.ask(parcel, function.timeout)
        try:
            value = answer.value()
        except Exception as error:
            message, detail = described(error, skip=1)
            raise CallError(
                f"{function.name} returned what can't be read here: {message}", detail=detail
            ) from None
        if answer.kind == RAISED:
            raise CallError(value[0], detail=value[1])
        if answer.kind == REFUSED:
            raise CallError(f"{function.name} {value[0]}", detail=value[1])
        return value

    async def _bury(self, process: _Process, *, replace: bool = True) -> str:
        """Kill a process, start the next one, and return once it can do no more."""
        process.kill()
        self._coming = None
        try:
            reaped = self._starter.submit(process.reap)
        except RuntimeError:  # closed meanwhile, and everything ended with it
            return process.reap()
        if replace:
            self.start()
        return await _wait(reaped)

    async def close(self) -> None:
        """End the process, gently if it is idle; whatever runs on it is stopped."""
        self._closed = True
        coming, self._coming = self._coming, None
        if coming is not None:
            await _wait(self._starter.submit(_end, coming, 0 if self._busy else GRACE))
        if self._owns_starter:
            self._starter.shutdown(wait=False)

    def kill(self) -> None:
        """End the process at once, from anywhere; for when ``close`` can't be awaited."""
        self._closed = True
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.add_done_callback(lambda coming: _end(coming, 0))
        if self._owns_starter:
            self._starter.shutdown(wait=False)


class Pool:
    """A number of workers, each a processor for one call at a time.

    ``start`` brings them all up at once without waiting. A pool that is dropped without
    ``close`` kills its processes, and so does the end of the program.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"a pool needs at least one worker, not {count}")
        starter = _new_starter()
        self.workers = tuple(Worker(index, starter=starter) for index in range(count))
        self._starter = starter
        self._kill = weakref.finalize(self, _kill_all, self.workers, starter)

    def __len__(self) -> int:
        return len(self.workers)

    def __getitem__(self, index: int) -> Worker:
        return self.workers[index]

    def start(self) -> None:
        """Start every process without waiting: they come up while a plan is written."""
        for worker in self.workers:
            worker.start()

    async def close(self) -> None:
        """End every process; may be called twice."""
        await asyncio.gather(*(worker.close() for worker in self.workers))
        self._kill()

    def kill(self) -> None:
        """End every process at once, without an event loop."""
        self._kill()


def _kill_all(workers: tuple[Worker, ...], starter: ThreadPoolExecutor) -> None:
    for worker in workers:
        worker.kill()
    starter.shutdown(wait=False)


def _new_starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="llmorch-starter")


def _end(coming: Future[_Process], grace: float) -> None:
    if coming.exception() is None:
        coming.result().end(grace)


def _cpu_of(index: int) -> int:
    """The CPU for a worker: those this process may use, in turn; -1 where none can be chosen."""
    if sys.platform != "linux":
        return -1
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[index % len(allowed)]


def _absolute(path: list[str]) -> list[str]:
    return [os.path.abspath(entry) for entry in path if isinstance(entry, str)]  # noqa: PTH100 - "" is the cwd


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:  # a daemon may have closed it
        return subprocess.DEVNULL
    return 2


async def _wait(future: Future[T]) -> T:
    """Wait for another thread's work; cancelling the wait leaves the work alone."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
    return future.result()


def _remember(function: Function) -> Parcel:
    """The message that makes a worker remember a function."""
    call = function.call
    reference: tuple[str, str] | bytes | None = _reference(call)
    if reference is None:
        try:
            reference = _by_value(call)
        except Exception as error:
            text, detail = described(error)
            raise CallError(
                f"{function.name} can't be sent to another process: {text}; define it in a module, "
                "or make inside it what it uses",
                detail=detail,
            ) from None
    return pack(REMEMBER, (id(call), reference))


def _reference(call: Callable[..., Any]) -> tuple[str, str] | None:
    """The module and path of a function that can be imported; None for any other."""
    module = getattr(call, "__module__", None)
    path = getattr(call, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return (module, path) if found is call else None


def _by_value(call: Callable[..., Any]) -> bytes:
    import io

    import cloudpickle

    from llmorch.functions import Function

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Leaves out what ``@function`` noted on a function: it is of no use over there."""

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is Function:
                return type(None), ()
            return super().reducer_override(obj)

    file = io.BytesIO()
    Pickler(file, protocol=5).dump(call)
    return file.getvalue()


def _packed(function: Function, args: Mapping[str, Any]) -> Parcel:
    values = dict(args)
    try:
        return pack(CALL, (id(function.call), values))
    except Exception as error:
        text, detail = described(error)
    for name, value in values.items():
        try:
            pack(CALL, value)
        except Exception as error:
            text, detail = described(error)
            kind = type(value).__name__
            text = f"its argument {name}, a value of type {kind}, can't be sent to another process ({text})"
            break
    raise CallError(f"{function.name} can't be called: {text}; pass plain data", detail=detail)


def _written(parcel: Parcel, function: Function) -> None:
    try:
        parcel.write()
    except OSError as error:
        raise CallError(f"{function.name} can't be called: its arguments can't be written: {error}") from None
