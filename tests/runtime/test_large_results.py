"""Large results that only calls in other processes use: they stay out of this one, and are freed."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import CallError, LimitReached, ModelError, Orchestrator, Released, function
from llmorch.places.handles import Unopened
from llmorch.testing import ScriptedModel
from tests.places.conftest import shared
from tests.runtime import large

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from llmorch import Result

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for files in /proc"),
]

N = large.LONG  # 2.4 MB of numbers


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What large results were opened in this process."""
    found = []
    before = Unopened.open

    def value(handle: Unopened) -> Any:
        if not handle.here:
            found.append(handle.what)
        return before(handle)

    monkeypatch.setattr(Unopened, "open", value)
    return found


@function
def look(after: Any) -> int:
    """How many files are open here, once those on their way out are closed."""
    end = time.monotonic() + 5
    while (count := large.open_files()) and time.monotonic() < end:
        time.sleep(0.01)
    return count


@function
def length(x: Any) -> int:
    return len(x)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def orchestrator(anyio_backend: str) -> AsyncIterator[Orchestrator]:
    functions = [*large.FUNCTIONS, look, length]
    async with Orchestrator(functions, model=ScriptedModel([]), processors=2, optimize=False) as orchestrator:
        yield orchestrator


def large_results(result: Result) -> list[bool]:
    return [isinstance(call.result, Released) for call in result.calls]


def in_shared_memory() -> set[Path]:
    return shared(at_least=8 * N)


# What stays out


@pytest.mark.parametrize(
    ("use", "answer"),
    [
        ("total(x=s1)", N * (N - 1) / 2),
        ("fetch(x=s1)", N),
        ("first(x=[s1[3], s2])", 3.0),
        ("first(x=[len(s1) + len(s2), s1])", 2.0 * N),
        ('take_any(x="{s1}")', "ndarray"),
        ('take_any(x={"a": [s1, {"b": s2}], "c": 1})', "dict of <class 'str'> <class 'list'>"),
        ('take_text(x="a {s1[4]} b")', "str"),
        ("take_dict(x={'a': s1[5]})", "dict of <class 'str'> <class 'float'>"),
        ("same(x=s1, y=s1)", True),
        ("same(x=[s1][0], y=s1)", True),
        ("same(x=s1, y=s2)", False),
    ],
)
async def test_what_other_processes_use_in_any_way_is_not_opened_here(
    orchestrator: Orchestrator, opened: list[str], use: str, answer: Any
) -> None:
    plan = f's1 = made(what="array", n={N})\ns2 = made(what="array", n={N})\ns3 = first(x=s2)\ns4 = {use}'
    result = await orchestrator.execute(plan)
    assert (result.error, result.answer) == (None, answer)
    assert opened == []
    assert isinstance(result.calls["s1"].result, Released)


async def test_a_result_that_was_released_says_what_it_was_in_python_and_in_json(
    orchestrator: Orchestrator,
) -> None:
    result = await orchestrator.execute(f's1 = made(what="words", n={N})\ns2 = fetch(x=s1)')
    what = "<released after its last use: list of 300,000 items, 2.59 MB>"
    assert repr(result.calls["s1"].result) == what
    assert result.as_json()["calls"][0]["result"] == what


async def test_what_is_used_here_too_or_is_the_answer_is_in_the_result(
    orchestrator: Orchestrator, opened: list[str]
) -> None:
    made = f's1 = made(what="array", n={N})\n'
    used_here = await orchestrator.execute(made + "s2 = length(x=s1)\ns3 = scale(x=s1)")
    assert used_here.calls["s2"].result == N
    assert [call.result.sum() for call in used_here.calls if call.id != "s2"] == [
        44999850000.0,
        89999700000.0,
    ]
    assert len(opened) == 2  # each once


async def test_a_name_of_an_effect_opens_what_it_is_made_of_and_nothing_else(opened: list[str]) -> None:
    @function(kind="compute", writes=["file:{name}"])
    def store(name: str, data: Any) -> int:
        return len(data)

    async with Orchestrator([large.made, store], model=ScriptedModel([]), processors=1) as orchestrator:
        result = await orchestrator.execute(
            f's1 = made(what="array", n={N})\ns2 = made(what="words", n=3)\ns3 = store(name=s2[0], data=s1)'
        )
    assert (result.answer, opened) == (N, [])


KINDS = ["array", "list", "words", "text", "digits", "bytes", "dict", "pair"]
REFUSED = {f"take_number(x={use})" for use in ("[s1]", "[s1, 1]", '{"a": s1}', "[s1[0], s1]")}
"""Before anything runs."""
USES = ["s1", '"{s1}"', "[s1]", "[s1, 1]", '{"a": s1}', "s1[0]", "len(s1)", "s1 + 1", "[s1[0], s1]"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_argument_is_checked_and_converted_as_if_it_were_small(
    orchestrator: Orchestrator, kind: str
) -> None:
    """Ten parameters of different types are each given each use of a small result, and of a large one."""
    told = []
    for n in (600 if kind == "digits" else 5, 140_000):  # more digits than a number may have, and more
        lines = [f's1 = made(what="{kind}", n={n})']
        uses = USES if kind != "pair" else USES[:5]
        lines += [f"{taking.__name__}(x={use})" for taking in large.TAKING for use in uses]
        lines = [line for line in lines if line not in REFUSED]
        plan = "\n".join(f"s{number} = {line}" for number, line in enumerate(lines[1:], start=2))
        result = await orchestrator.execute(f"{lines[0]}\n{plan}")
        told.append(
            [(line, call.result, call.error) for line, call in zip(lines, result.calls, strict=True)][1:]
        )
    differing = [(small, large_) for small, large_ in zip(*told, strict=True) if small != large_]
    assert not differing
    assert len({error is None for _, _, error in told[0]}) == 2


async def test_no_user_sees_what_another_one_changes(orchestrator: Orchestrator) -> None:
    plan = (
        f's1 = made(what="array", n={N})\ns2 = spoil(x=s1)\ns3 = spoil(x=s1)\ns4 = first(x=[s1[0], s2, s3])'
    )
    result = await orchestrator.execute(plan)
    assert [result.calls[id_].result for id_ in ("s2", "s3", "s4")] == [1.0, 1.0, 0.0]


def test_the_memory_of_this_process_does_not_grow_by_what_passes_it_by(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import resource, sys
sys.path.insert(0, {str(Path(large.__file__).parents[2])!r})
from llmorch import Orchestrator
from llmorch.testing import ScriptedModel
from tests.runtime import large

orchestrator = Orchestrator(large.FUNCTIONS, model=ScriptedModel([]), processors=2)
def peak(n):
    plan = f's1 = made(what="array", n={{n}})\\ns2 = scale(x=s1)\\ns3 = total(x=s2)'
    assert orchestrator.execute_sync(plan).answer == n * (n - 1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small = peak({N})
print(peak(12_500_000) - small)
""")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert int(ended.stdout) < 10_000  # KiB, where the two arrays have 200,000


# What is freed, and when


async def test_a_result_is_freed_when_its_last_user_is_done_while_the_run_goes_on(
    orchestrator: Orchestrator,
) -> None:
    result = await orchestrator.execute(
        f's1 = made(what="array", n={N})\n'
        "s2 = first(x=s1)\n"
        "s3 = spoil(x=s1)\n"
        "s4 = look(after=[s2, s3])\n"
        "s5 = files_here(after=s4)\n"
    )
    assert (result.calls["s4"].result, result.answer) == (0, 0)


async def test_nothing_is_open_after_a_run_whatever_became_of_its_calls(orchestrator: Orchestrator) -> None:
    await orchestrator.execute(f's1 = made(what="array", n={N})\ns2 = first(x=s1)')
    before = in_shared_memory()
    made = f's1 = made(what="array", n={N})\ns2 = scale(x=s1)\n'
    for use in (
        'die(x=s2, how="SIGSEGV")',
        'die(x=s2, how="SIGKILL")',
        'die(x=s2, how="raise")',
        "late(x=s2)",
    ):
        result = await orchestrator.execute(f"{made}s3 = {use}")
        assert result.calls["s3"].status == "failed"
        assert large_results(result) == [True, False, False]  # what a failed call used is kept
        assert result.calls["s2"].result[3] == 6.0
        del result
        assert await files_in_the_end() == 0
    assert in_shared_memory() <= before


@function
async def refused(x: Any) -> None:
    raise ValueError(f"not {len(x)}")


@function(timeout=0.1)
async def endless(x: Any) -> None:
    await asyncio.sleep(30)


@function
async def forever(x: Any) -> None:
    await asyncio.Event().wait()


async def files_in_the_end() -> int:
    """How many files are open once the tasks that were awaited are gone."""
    for _ in range(500):
        if large.open_files():
            await asyncio.sleep(0.01)
    return large.open_files()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def _fails(orchestrator: Orchestrator, plan: str) -> None:
    await orchestrator.execute(plan)


async def _begun() -> None:
    """Wait until a large result is there."""
    while not large.open_files():  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(0.01)


async def _is_cancelled(orchestrator: Orchestrator, plan: str) -> None:
    run = orchestrator.start_plan(plan)
    await _begun()
    run.cancel()
    assert (await run).status == "unresolved"


async def _loses_a_call(orchestrator: Orchestrator, plan: str) -> None:
    run = orchestrator.start_plan(plan)
    await _begun()
    run.cancel("s3")
    await run


async def _is_abandoned(orchestrator: Orchestrator, plan: str) -> None:
    running = asyncio.create_task(orchestrator.execute(plan))
    await _begun()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def _is_late(orchestrator: Orchestrator, plan: str) -> None:
    with pytest.raises(LimitReached):
        await orchestrator.execute(plan, deadline=1)


@pytest.mark.parametrize(
    ("end", "use"),
    [
        *[(_fails, name) for name in ("refused", "endless", "late", "take_number")],
        *[(end, "forever") for end in (_is_cancelled, _loses_a_call, _is_abandoned, _is_late)],
    ],
)
@pytest.mark.usefixtures("no_collector")
async def test_no_value_of_a_run_that_ended_waits_for_the_collector(end: Any, use: str) -> None:
    functions = [*large.FUNCTIONS, refused, endless, forever]
    async with Orchestrator(functions, model=ScriptedModel([]), processors=1) as orchestrator:
        await end(orchestrator, f's1 = made(what="array", n={N})\ns2 = scale(x=s1)\ns3 = {use}(x=s2)')
        assert await files_in_the_end() == 0


@pytest.mark.parametrize("technique", ["llmorch", "parallel", "react"])
@pytest.mark.usefixtures("no_collector")
async def test_none_does_whose_model_fails_after_a_call_failed(technique: str) -> None:
    plan = f's1 = made(what="array", n={N})\ns2 = scale(x=s1)\ns3 = refused(x=s2)\ns4 = self(prompt="{{s2}}")'
    model = ScriptedModel([plan], chunk=10_000)
    functions = [*large.FUNCTIONS, refused]
    async with Orchestrator(functions, model=model, processors=1, technique=technique) as orchestrator:
        with pytest.raises(ModelError):
            await orchestrator.run("What?")
        assert await files_in_the_end() == 0


class Anything:
    """A value whose end is seen."""


def _raises() -> None:
    raise ValueError("no")


async def _raises_later() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("via", [None, _raises, _raises_later])
@pytest.mark.parametrize("name", ["refused", "endless"])
@pytest.mark.usefixtures("no_collector")
async def test_nor_does_what_a_call_of_a_session_was_given_that_failed(name: str, via: Any) -> None:
    value = Anything()
    ended = weakref.ref(value)
    orchestrator = Orchestrator([refused, endless], model=ScriptedModel([]))
    async with orchestrator.session() as session:
        with suppress(CallError, ValueError):
            await session.call(name, {"x": value}, via=via)
        del value
        await asyncio.sleep(0)
        assert ended() is None


@pytest.mark.usefixtures("no_collector")
async def test_nor_what_one_was_given_that_was_stopped_on_a_thread() -> None:
    begun, free = threading.Event(), threading.Event()

    @function
    def wait(x: Any) -> None:
        begun.set()
        free.wait()

    value = Anything()
    ended = weakref.ref(value)
    orchestrator = Orchestrator([wait], model=ScriptedModel([]))
    async with orchestrator.session() as session:
        call = asyncio.create_task(session.call("wait", {"x": value}))
        await asyncio.to_thread(begun.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        del call, value
        free.set()
        for _ in range(500):
            if ended() is not None:
                await asyncio.sleep(0.01)
        assert ended() is None


def test_nothing_is_left_when_this_process_is_killed(tmp_path: Path) -> None:
    before = in_shared_memory()
    script = tmp_path / "script.py"
    script.write_text(f"""
import os, signal, sys
sys.path.insert(0, {str(Path(large.__file__).parents[2])!r})
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel
from tests.runtime import large

@function
async def end(after: float) -> None:
    print(large.open_files(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

orchestrator = Orchestrator([*large.FUNCTIONS, end], model=ScriptedModel([]), processors=2)
orchestrator.execute_sync('''
s1 = made(what="array", n={N})
s2 = first(x=s1)
s3 = end(after=s2)
s4 = late(x=[s1, s3])
''')
""")
    ended = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert (ended.returncode, ended.stdout) == (-9, "1\n")
    assert in_shared_memory() <= before
    assert list(tmp_path.iterdir()) == [script]


async def test_without_memfd_results_lie_in_a_temporary_file_that_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with Orchestrator(large.FUNCTIONS, model=ScriptedModel([]), processors=1) as orchestrator:
        result = await orchestrator.execute("s1 = without_memfd()\ns2 = first(x=s1)")
        assert (result.answer, large_results(result)) == (1.0, [True, False])
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib's isn't for async functions


def test_more_results_than_files_may_be_open_are_all_right(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import resource, sys
sys.path.insert(0, {str(Path(large.__file__).parents[2])!r})
resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
from llmorch import Orchestrator
from llmorch.testing import ScriptedModel
from tests.runtime import large

orchestrator = Orchestrator(large.FUNCTIONS, model=ScriptedModel([]), processors=2)
ids = [f"s{{number}}" for number in range(1, 201)]
lines = [f'{{id_}} = made(what="array", n=140_000)' for id_ in ids]
lines.append(f"s0 = take_any(x=[{{', '.join(ids)}}])")
result = orchestrator.execute_sync("\\n".join(lines))
print(result.answer, result.error)
""")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "list of ['ndarray', 'ndarray'] None\n"


# What can't be read


async def test_a_result_that_cant_be_rebuilt_is_named_wherever_it_is_needed(
    orchestrator: Orchestrator,
) -> None:
    why = "sealed returned what can't be read here: ValueError: the seal of 2,400,000 bytes is broken"
    result = await orchestrator.execute("s1 = sealed()\ns2 = first(x=s1)")
    assert result.calls["s2"].error == f"first can't be called: {why}"
    with pytest.raises(CallError, match=f"^{why}$"):
        result.calls["s1"].result  # noqa: B018 - it is opened when it is read
    result = await orchestrator.execute("s1 = sealed()\ns2 = length(x=s1)")
    assert result.calls["s2"].error == f"x of length: {why}"
    alone = await orchestrator.execute("s1 = sealed()")
    assert (alone.status, repr(alone.calls["s1"])[:20]) == ("answered", "CallRecord(id='s1', ")
    for _ in range(2):
        with pytest.raises(CallError, match=f"^{why}$"):
            alone.answer  # noqa: B018
    assert alone.as_json()["answer"] == f"<Seal, 2.4 MB: {why}>"


async def test_one_that_cant_be_rebuilt_is_no_error_of_a_call_that_only_shares_it_or_comes_later() -> None:
    why = "sealed returned what can't be read here: ValueError: the seal of 2,400,000 bytes is broken"

    @function
    async def wait(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return N

    functions = [*large.FUNCTIONS, length, wait]
    async with Orchestrator(functions, model=ScriptedModel([]), processors=2, optimize=False) as orchestrator:
        plan = (
            "s1 = sealed()\ns2 = length(x=s1)\ns3 = wait(seconds=1)\n"
            's4 = made(what="array", n=s3)\ns5 = take_any(x=[s1, s4])'
        )
        result = await orchestrator.execute(plan)
        assert result.calls["s5"].error == f"x of take_any: {why}"

    plan = "s1 = sealed()\ns2 = sealed()\ns3 = first(x=s1)"
    again = "s4 = first(x=s2)"
    model = ScriptedModel([plan, *[again.replace("s4", "s3")] * 2, *[again] * 4], chunk=1000)
    async with Orchestrator(functions, model=model, processors=2, max_recoveries=2) as orchestrator:
        result = await orchestrator.run("What comes first?")
        assert result.calls["s2"].same_as == "s1"
        assert result.calls["s2"].status == "completed"

    model = ScriptedModel([["s1 = sealed()\n", *[""] * 4]], delay=0.5)  # it ends before the plan does
    async with Orchestrator(functions, model=model, processors=2) as orchestrator:
        result = await orchestrator.run("What is sealed?")
        assert result.status == "answered"  # nobody has needed it
        with pytest.raises(CallError, match=f"^{why}$"):
            result.answer  # noqa: B018


def test_a_large_value_of_a_scripts_own_class_is_handed_on_too(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import numpy as np
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

class Frame:
    def __init__(self, pixels):
        self.pixels = pixels

@function(kind="compute")
def take(n: int) -> Frame:
    return Frame(np.ones(n))

@function(kind="compute")
def brighten(frame: Frame) -> Frame:
    return Frame(frame.pixels * 2)

@function(kind="compute")
def mean(frame: Frame, frames: list[Frame]) -> float:
    return float(np.mean([frame.pixels.mean(), *(one.pixels.mean() for one in frames)]))

result = Orchestrator([take, brighten, mean], model=ScriptedModel([]), processors=2).execute_sync('''
s1 = take(n=300000)
s2 = brighten(frame=s1)
s3 = mean(frame=s2, frames=[s1, s2, s2])
''')
print(result.answer, result.error)
""")
    ended = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert (ended.stdout, ended.stderr) == ("1.75 None\n", "")


# With a model


async def test_a_recovery_finds_what_the_failed_call_used(opened: list[str]) -> None:
    @function(kind="compute")
    def check(x: Any) -> float:
        """The second number, which has to be 3."""
        if x[1] != 3:
            raise ValueError(f"the second number is {x[1]:g}, not 3: it was multiplied by the wrong number")
        return float(x[1])

    plan = f's1 = made(what="array", n={N})\ns2 = scale(x=s1)\ns3 = check(x=s2)'
    model = ScriptedModel([plan, "s2 = scale(x=s1, by=3.0)"], chunk=10_000)
    functions = [large.made, large.scale, check]
    async with Orchestrator(functions, model=model, processors=1) as orchestrator:
        result = await orchestrator.run("three, please")
    assert (result.answer, result.recoveries[0].again) == (3.0, ("s2", "s3"))
    assert large_results(result) == [True, True, False]
    gc.collect()
    assert (len(opened), large.open_files()) == (1, 0)  # the model was told what the failed call was given


# With calls that are the same, batches, and functions that say how results are shown


async def test_a_large_result_that_two_calls_share_is_freed_after_the_last_user_of_both(
    opened: list[str],
) -> None:
    made = f'made(what="array", n={N})'
    plan = f"s1 = {made}\ns2 = {made}\ns3 = total(x=s1)\ns4 = first(x=s2)\ns5 = first(x=[s3, s4])"
    async with Orchestrator(large.FUNCTIONS, model=ScriptedModel([]), processors=2) as orchestrator:
        result = await orchestrator.execute(plan)
    assert (result.answer, opened) == (N * (N - 1) / 2, [])
    assert result.calls["s2"].same_as == "s1"
    assert large_results(result) == [True, True, False, False, False]


async def test_a_large_result_with_a_text_for_the_model_stays_out_too(opened: list[str]) -> None:
    @function(kind="compute", show=lambda array: f"{len(array)} numbers")
    def numbers(n: int) -> Any:
        import numpy as np

        return np.arange(n, dtype=float)

    model = ScriptedModel(["so much"])
    functions = [numbers, *large.FUNCTIONS]
    async with Orchestrator(functions, model=model, processors=2) as orchestrator:
        plan = f's1 = numbers(n={N})\ns2 = total(x=s1)\ns3 = self(prompt="{{s1}} come to {{s2}}")'
        result = await orchestrator.execute(plan)
    assert result.error is None
    assert model.requests[0].messages[-1].text == f"{N} numbers come to {N * (N - 1) / 2}"
    assert opened == []
    assert large_results(result)[0]
    model = ScriptedModel([f"s1 = numbers(n={N})\ns2 = total(x=s1)", "so many"])
    async with Orchestrator(functions, model=model, processors=2, technique="rewoo") as orchestrator:
        assert (await orchestrator.run("How many?")).answer == "so many"
    assert f"{N} numbers" in model.requests[1].messages[-1].text
    assert opened == []


async def test_large_results_of_a_batch_are_those_of_its_calls() -> None:
    @function(kind="compute")
    def numbers(n: int) -> Any:
        raise NotImplementedError

    @numbers.batch
    def all_numbers(calls: list[dict[str, Any]]) -> list[Any]:
        import numpy as np

        return [np.arange(call["n"], dtype=float) for call in calls]

    functions = [numbers, *large.FUNCTIONS]
    async with Orchestrator(functions, model=ScriptedModel([]), processors=2) as orchestrator:
        plan = f"s1 = numbers(n={N})\ns2 = numbers(n={N + 1})\ns3 = total(x=s2)\ns4 = first(x=[s3, s1])"
        result = await orchestrator.execute(plan)
    assert result.answer == N * (N + 1) / 2
