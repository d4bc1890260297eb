"""A function in a process finds folder, environment, variables and code as the program has them now."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.declare.functions import Function
from llmorch.errors import CallError
from llmorch.places.workers import Worker, Workers, cpus_of
from tests.places.test_worker import is_alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.anyio

SETTINGS = """
FACTOR = 2
ROWS = [1]
KEPT = {}


class Scale:
    BY = 10


class Unit:
    def __init__(self):
        self.name = "m"

    def told(self):
        return f"{self.name} {FACTOR}"


UNIT = Unit()
"""
COUNTING = """
import importlib
import os

import {settings} as settings
from {settings} import UNIT

FACTOR = 2
ROWS = [1]
TABLE = {{"a": 1}}
CACHE = {{}}
STARTED = None
LARGE = None
CALLS = 0


def whereabouts():
    mask = os.umask(0)
    os.umask(mask)
    return os.getcwd(), os.environ.get("LLMORCH_NOW"), os.environ.get("OMP_NUM_THREADS"), mask


def times(n):
    return n * FACTOR + len(ROWS) * 100 + TABLE["a"] * 1000


def helped(n):
    return helper(n)


def helped_too(n):
    return helper(n)


def helper(n):
    return n * FACTOR


def elsewhere(n):
    return n * settings.FACTOR + settings.Scale.BY * 100 + len(settings.ROWS) * 10_000


def inside(n):
    import {settings} as late

    return n * late.FACTOR


def of_object():
    return UNIT.told()


def cached(key):
    global STARTED, CALLS
    CALLS += 1
    STARTED = STARTED or os.getpid()
    CACHE.setdefault(key, (len(CACHE), FACTOR))
    return CACHE[key], sorted(CACHE), STARTED == os.getpid(), CALLS


def size():
    return len(LARGE or ())


def die():
    os._exit(3)
"""


@pytest.fixture
def modules(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Two modules of functions and of settings, in files of their own."""
    number = abs(hash(request.node.name))
    settings, counting = f"settings{number}", f"counting{number}"
    Path(tmp_path, f"{settings}.py").write_text(SETTINGS)
    Path(tmp_path, f"{counting}.py").write_text(COUNTING.format(settings=settings))
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module(counting)
    sys.path.remove(str(tmp_path))
    del sys.modules[counting], sys.modules[settings]


@pytest.fixture(params=["compute", "timeout"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A processor of compute calls, and one of calls that can be stopped."""
    made = Worker(cpus_of((0,))) if request.param == "compute" else Workers(limit=1)
    yield made
    await made.close()


@pytest.fixture
async def call(place: Any) -> Callable[..., Any]:
    """Calls a function in a process."""

    async def called(function: Callable[..., Any], **args: Any) -> Any:
        return await place.execute(Function("f", function, timeout=10), args)

    return called


@pytest.fixture(params=["by reference", "by value"])
def form(request: pytest.FixtureRequest) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function as it is, and one around it that can't be imported."""
    if request.param == "by reference":
        return lambda function: function

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **args: function(**args) if args else function()

    return around


async def replaced(call: Any, modules: Any) -> None:
    """End the process that is there."""
    with suppress(CallError):
        await call(modules.die)


@pytest.fixture(params=["the same process", "after a crash"])
def between(request: pytest.FixtureRequest, call: Any, modules: Any) -> Callable[[], Any]:
    """What happens between two calls."""

    async def happens() -> None:
        if request.param == "after a crash":
            await replaced(call, modules)

    return happens


async def test_a_call_runs_where_the_program_is_when_it_begins(
    call: Any, form: Any, modules: Any, between: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whereabouts = form(modules.whereabouts)
    here = os.getcwd()  # noqa: PTH109
    before = await call(whereabouts)
    assert before[:3] == (here, None, "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMORCH_NOW", "now")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    old = os.umask(0o027)
    try:
        await between()
        assert await call(whereabouts) == (str(tmp_path), "now", "1", 0o027)
    finally:
        os.umask(old)
    monkeypatch.setenv("LLMORCH_NOW", "later")
    assert (await call(whereabouts))[1] == "later"
    monkeypatch.delenv("LLMORCH_NOW")
    monkeypatch.chdir(here)
    assert await call(whereabouts) == before


def wander(folder: str) -> None:
    os.chdir(folder)
    os.environ["LLMORCH_NOW"] = "wandered"


async def test_what_a_call_changed_is_put_back_to_where_the_program_is_now(
    call: Any, modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await call(modules.whereabouts)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMORCH_NOW", "now")
    await call(wander, folder="/")
    assert (await call(modules.whereabouts))[:2] == (str(tmp_path), "now")


async def test_a_folder_that_cannot_be_entered_is_the_calls_error(
    call: Any, modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    await call(modules.helped, n=1)
    monkeypatch.chdir(gone)
    monkeypatch.setattr(os, "getcwd", lambda: str(tmp_path / "nowhere"))
    with pytest.raises(CallError, match="can't go where the program is: FileNotFoundError"):
        await call(modules.helped, n=1)
    monkeypatch.undo()
    assert await call(modules.helped, n=1) == 2


async def test_time_is_told_in_the_programs_zone(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert await call(hour) == 0
    monkeypatch.setenv("TZ", "XXX-5")
    assert await call(hour) == 5


def hour() -> int:
    import time

    return time.localtime(0).tm_hour


async def test_calls_may_be_as_deep_in_one_another_as_in_the_program(call: Any) -> None:
    limit = sys.getrecursionlimit()
    assert await call(deep, n=500) == 500
    sys.setrecursionlimit(6000)
    try:
        assert await call(deep, n=5000) == 5000
    finally:
        sys.setrecursionlimit(limit)


def deep(n: int) -> int:
    return n and 1 + deep(n - 1)


async def test_variables_are_those_of_the_program_when_the_call_begins(
    call: Any, form: Any, modules: Any, between: Any
) -> None:
    times = form(modules.times)
    modules.FACTOR = 3  # before the process is there
    assert await call(times, n=1) == 3 + 100 + 1000
    modules.FACTOR = 5
    modules.ROWS.append(2)
    await between()
    assert await call(times, n=1) == 5 + 200 + 1000
    modules.TABLE["a"] = 7
    modules.ROWS = []
    assert await call(times, n=1) == 5 + 7000


async def test_variables_of_helper_functions_and_other_modules_count(
    call: Any, form: Any, modules: Any, between: Any
) -> None:
    helped, elsewhere, inside, of_object = map(
        form, (modules.helped, modules.elsewhere, modules.inside, modules.of_object)
    )
    assert await call(helped, n=1) == 2
    assert await call(elsewhere, n=1) == 2 + 1000 + 10_000
    assert await call(inside, n=1) == 2
    assert await call(of_object) == "m 2"
    modules.FACTOR = 3
    modules.settings.FACTOR = 4
    modules.settings.Scale.BY = 20
    modules.settings.ROWS.append(2)
    modules.UNIT.name = "km"
    await between()
    assert await call(helped, n=1) == 3
    assert await call(elsewhere, n=1) == 4 + 2000 + 20_000
    assert await call(inside, n=1) == 4
    assert await call(of_object) == "km 4"


async def test_what_a_process_keeps_in_a_variable_stays(call: Any, modules: Any) -> None:
    assert await call(modules.cached, key="a") == ((0, 2), ["a"], True, 1)
    modules.FACTOR = 3
    assert await call(modules.cached, key="b") == ((1, 3), ["a", "b"], True, 2)
    assert await call(modules.cached, key="a") == ((0, 2), ["a", "b"], True, 3)
    modules.CACHE["c"] = 1  # and where the program's own has changed, that counts
    assert await call(modules.cached, key="c") == (1, ["c"], True, 4)


async def test_a_variable_that_is_no_plain_data_is_left_alone(call: Any, modules: Any) -> None:
    modules.FACTOR = 3
    modules.TABLE = {"a": 1, "lock": threading.Lock()}
    assert await call(modules.times, n=1) == 1103
    modules.FACTOR = 4
    assert await call(modules.times, n=1) == 1104


async def test_a_function_that_was_replaced_is_the_one_called(
    call: Any, form: Any, modules: Any, between: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = 50
    monkeypatch.setattr(modules, "helper", lambda n: n + by)
    helped = form(modules.helped)
    assert await call(helped, n=1) == 51
    monkeypatch.undo()
    await between()
    assert await call(helped, n=1) == 2
    monkeypatch.setattr(modules, "helper", lambda n: n + by)
    assert await call(helped, n=1) == 51


async def test_a_function_that_was_replaced_for_a_call_of_another_one_is_put_back(
    call: Any, form: Any, modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    helped, helped_too = form(modules.helped), form(modules.helped_too)
    assert await call(helped, n=1) == 2
    monkeypatch.setattr(modules, "helper", lambda n: n + 50)
    assert await call(helped_too, n=1) == 51
    monkeypatch.undo()
    assert await call(helped, n=1) == 2


async def test_a_replaced_method_of_a_class_is_the_one_called(
    call: Any, modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await call(modules.of_object) == "m 2"
    monkeypatch.setattr(modules.settings.Unit, "told", lambda self: "replaced")
    assert await call(modules.of_object) == "replaced"


@pytest.mark.parametrize("reloads", [True, False], ids=["loaded anew", "not loaded anew"])
async def test_a_process_runs_the_programs_code_when_the_file_was_edited(
    call: Any, form: Any, modules: Any, between: Any, reloads: bool
) -> None:
    assert await call(form(modules.helped), n=1) == 2
    edit(Path(modules.__file__))
    if reloads:
        importlib.reload(modules)
    await between()
    assert await call(form(modules.helped), n=1) == (1098 if reloads else 2)
    modules.FACTOR = 3
    assert await call(form(modules.helped), n=1) == (1097 if reloads else 3)


def edit(file: Path) -> None:
    """Change a function, one that it calls, and add a third one and a variable."""
    rewrite(file, "return helper(n)\n", "return helper(n) + extra()\n")
    rewrite(file, "return n * FACTOR\n", "return -n * FACTOR + ADDED\n")
    rewrite(file, "FACTOR = 2", "FACTOR = 2\nADDED = 100\n\n\ndef extra():\n    return 10 * ADDED")


def rewrite(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))
    os.utime(file, (1, 1))  # not the time in the compiled file


async def test_a_function_from_before_its_module_was_loaded_anew_finds_the_new_ones(
    call: Any, modules: Any
) -> None:
    helped = modules.helped
    assert await call(helped, n=1) == 2
    rewrite(Path(modules.__file__), "return n * FACTOR\n", "return n * 1000\n")
    importlib.reload(modules)
    assert await call(helped, n=1) == helped(1) == 1000


async def test_what_a_closure_holds_is_as_it_is_now(call: Any) -> None:
    factor, rows, padding = 2, [1], "x"

    def times(n: int) -> int:
        return n * factor + len(rows) * 100 + len(padding) * 0

    assert await call(times, n=1) == 102
    factor = 3
    rows.append(2)
    assert await call(times, n=1) == 203
    padding = "x" * 200_000
    assert await call(times, n=1) == 203
    rows.append(3)  # what is too large to be pickled for every call is looked at by what is set
    assert await call(times, n=1) == 203
    factor = 4
    assert await call(times, n=1) == 304


async def test_a_process_that_ended_while_idle_is_replaced_by_one_that_knows_it_all(
    call: Any, modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = await call(process)
    monkeypatch.chdir(tmp_path)
    modules.FACTOR = 9
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while is_alive(pid):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    assert await call(modules.times, n=1) == 1109
    assert (await call(modules.whereabouts))[0] == str(tmp_path)


def process() -> int:
    return os.getpid()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (threading.Lock(), "a value of type lock (TypeError: cannot pickle '_thread.lock' object)"),
        ((one for one in ()), "a value of type generator (TypeError: "),
        (sys.__stdin__, "a value of type TextIOWrapper (TypeError: cannot pickle an open file: "),
    ],
    ids=["a lock", "a generator", "a file"],
)
async def test_what_cannot_be_sent_is_named_with_what_to_do(call: Any, what: Any, reason: str) -> None:
    def held(n: int) -> Any:
        return what

    with pytest.raises(CallError) as raised:
        await call(held, n=1)
    text = str(raised.value)
    assert text.startswith(f"f can't be sent to another process: it uses what, {reason}")
    assert text.endswith("; define it in a module, or make inside it what it uses")
