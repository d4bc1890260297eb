"""``--json`` of results that are hostile or huge: bounded before they are made, in time and in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = 400
"""Megabytes: what the program takes by itself, its worker, and a bounded text, several times over."""
FUNCTIONS = '''
import os, sys, time
from llmorch import function

@function
def shared() -> object:
    """2**40 items that are one."""
    found = [0]
    for _ in range(40):
        found = [found, found]
    return found

@function
def long_key() -> object:
    return {"k" * 20_000_000: 1}

@function
def many_keys() -> object:
    return {("k" * 20_000_000) + str(at): {1: at} for at in range(2)}

@function
def deep() -> object:
    found = []
    for _ in range(100_000):
        found = [found]
    return found

@function
def itself() -> object:
    found = {}
    found["me"] = [found]
    return found

class Lying(dict):
    def items(self): raise SystemExit(3)
    def __len__(self): return -1
    def __iter__(self): raise KeyboardInterrupt
    def __repr__(self): os._exit(9)
    def __del__(self): print("a key is lost", file=sys.stderr); raise SystemExit(4)

@function
def lying() -> object:
    return Lying(a=1)

class Ending:
    """Whose end raises, prints and takes its time."""
    def __del__(self):
        print("gone")
        time.sleep(0.05)
        raise KeyboardInterrupt("of __del__")

@function
def ending() -> object:
    return Ending()

@function
def groups() -> object:
    found = ValueError("innermost")
    for at in range(10_000):
        found = ExceptionGroup(f"level {at}", [found])
    raise found

@function
def chain() -> object:
    found = ValueError("innermost")
    for at in range(100_000):
        outer = ValueError(f"level {at}")
        outer.__cause__ = found
        found = outer
    raise found

@function
def raises_long() -> object:
    raise KeyError("k" * 20_000_000)

@function
def other() -> int:
    return 7
'''
ANSWERS: dict[str, Any] = {
    "shared": "... (cut: more than 1,000,000 items)",
    "deep": "... (cut: nested more than 200 deep)",
    "itself": "... (cut: nested more than 200 deep)",
    "lying": {"a": 1},
    "ending": "Ending: ",
}
FAILED = {
    "groups": "ExceptionGroup: level 9999 ... ion): [ExceptionGroup: level 9998",
    "chain": "ValueError: level 99999; caused by",
    "raises_long": "KeyError: 'kkkk",
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "hostile.py").write_text(FUNCTIONS)
    for name in (*ANSWERS, *FAILED, "long_key", "many_keys"):
        (tmp_path / f"{name}.plan").write_text(f"s1 = other()\ns2 = {name}()\n")
    return tmp_path


MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, *sys.argv[1:]]).returncode
with open("used", "w") as used:
    used.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10))
sys.exit(code)
"""
"""Runs a program from a small one: until it is loaded, a process counts for as large as the one that begins it."""


def executed(files: Path, *line: str, **variables: str) -> tuple[Any, ...]:
    """The exit code, both outputs, and the most memory that it or one of its workers had, in megabytes."""
    began = time.monotonic()
    with (files / "out").open("w") as out, (files / "err").open("w") as err:
        code = subprocess.run(
            [sys.executable, "-c", MEASURED, *line],
            cwd=files,
            stdout=out,
            stderr=err,
            env=os.environ | variables,
            check=False,
        ).returncode
    assert time.monotonic() - began < 30
    return code, *((files / name).read_text() for name in ("out", "err")), int((files / "used").read_text())


def planned(name: str) -> tuple[str, ...]:
    return ("-m", "llmorch", "execute", f"{name}.plan", "-f", "hostile.py", "-q")


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_what_a_function_returns_is_written_within_bounds(
    files: Path, name: str, more: tuple[str, ...]
) -> None:
    code, out, err, memory = executed(files, *planned(name), *more)
    assert code == 0, err
    assert memory < MEMORY
    assert len(out) < 20_000
    assert err.count("Traceback") == err.count("Exception ignored in")  # of __del__, which Python prints
    assert "gone" not in out
    if more:
        data = json.loads(out)
        assert [call["status"] for call in data["calls"]] == ["completed", "completed"]
        expected = ANSWERS[name]
        said = data["answer"]
        assert said == expected if isinstance(expected, dict) else expected.removeprefix("... ") in said


@pytest.mark.parametrize(("name", "most"), [("long_key", 50_000_000), ("many_keys", 90_000_000)])
def test_a_long_key_is_written_once(files: Path, name: str, most: int) -> None:
    code, out, _, memory = executed(files, *planned(name), "--json")
    assert code == 0
    assert memory < MEMORY
    assert len(out) < most
    assert len(json.loads(out)["answer"]) == most // 40_000_000


@pytest.mark.parametrize("name", FAILED)
@pytest.mark.parametrize("variables", [{}, {"PYTHONASYNCIODEBUG": "1"}])
def test_what_a_function_raises_is_written_within_bounds(
    files: Path, name: str, variables: dict[str, str]
) -> None:
    code, out, err, memory = executed(files, *planned(name), "--json", **variables)
    assert code == 1
    assert memory < 150
    assert len(out) < 60_000
    call = json.loads(out)["calls"][1]
    assert call["error"].startswith(FAILED[name])
    assert 0 < len(call["error"]) <= 2_000
    assert 0 < len(call["traceback"]) <= 20_000
    assert "error: not resolved" in err


INTERRUPTED = r"""
import asyncio, os, signal, sys, time
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

HELD = []

@function
def large() -> object:
    HELD.append(list(range(10**9, 10**9 + 3_000_000)))  # 96 MB of numbers, 24 MB of list
    HELD.append({"a": "\x00" * 30_000_000})  # of which a repr is four times as long
    return HELD

@function
async def interrupts(x: object) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(60)
    return 1

async def main() -> None:
    async with Orchestrator([large, interrupts], model=ScriptedModel([]), processors=1, learn=False) as orchestrator:
        if sys.argv[1] == "after":
            result = await orchestrator.execute("s1 = large()")
            os.kill(os.getpid(), signal.SIGINT)
            return result
        return await orchestrator.execute("s1 = large()\ns2 = interrupts(x=s1)")

if __name__ == "__main__":
    try:
        asyncio.run(main(), debug=sys.argv[2] == "debug")
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("debug", ["debug", "plain"])
@pytest.mark.parametrize("when", ["during", "after"])
def test_an_interrupt_makes_no_text_of_what_a_run_holds(tmp_path: Path, when: str, debug: str) -> None:
    """Python's own handler of it makes a ``repr`` of the task, and so of what it returned."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    code, out, err, memory = executed(tmp_path, "interrupted.py", when, debug)
    assert (code, out) == (0, "interrupted\n"), err
    assert memory < 300  # 150 are the result's, 60 the program's


ENDINGS = r"""
import asyncio, sys, time
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

class Ending:
    how = sys.argv[1]
    def __del__(self):
        if self.how == "raises": raise SystemExit(5)
        if self.how == "prints": print("gone", file=sys.stderr)
        if self.how == "hangs": time.sleep(0.5)

@function
def made() -> object: return Ending()

@function
def used(x: object) -> int: return 1

@function
async def other() -> int:
    await asyncio.sleep(0.2)
    return 2

async def main() -> None:
    async with Orchestrator([made, used, other], model=ScriptedModel([]), processors=1, learn=False) as orchestrator:
        async with orchestrator.session() as session:
            print(await session.call("other", {}))
        result = await orchestrator.execute("s1 = made()\ns2 = used(x=s1)\ns3 = other()\ns4 = used(x=s3)")
        print([call.status for call in result.calls], result.as_json()["answer"])
        del result

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["raises", "prints", "hangs"])
def test_the_end_of_a_result_ends_no_run(tmp_path: Path, how: str) -> None:
    (tmp_path / "ending.py").write_text(ENDINGS)
    code, out, err, _ = executed(tmp_path, "ending.py", how)
    assert (code, out) == (0, "2\n['completed', 'completed', 'completed', 'completed'] 1\n"), err
    assert err.count("Traceback") == err.count("Exception ignored in")
