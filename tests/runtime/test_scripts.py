"""Functions of a script, without a main guard: its classes go to a process and come back, its variables count."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
import dataclasses

from pydantic import BaseModel

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

FACTOR = 7


@dataclasses.dataclass
class Pair:
    left: int
    right: list = dataclasses.field(default_factory=list)


class Point(BaseModel):
    x: int
    y: int = 1


@function(kind="compute")
def grow(pair: Pair) -> Pair:
    return dataclasses.replace(pair, left=pair.left * FACTOR, right=[*pair.right, 1])


@function(kind="compute")
def move(point: Point) -> Point:
    return Point(x=point.x + 1)


@function(kind="compute")
async def later(n: int) -> int:
    return n + 1


@function
def tell(pair: Pair, point: Point) -> str:
    return f"{type(pair) is Pair} {type(point) is Point} {pair} {point!r}"


PLAN = '''
s1 = grow(pair={"left": 2})
s2 = grow(pair=s1)
s3 = later(n=s2.left)
s4 = move(point={"x": s3})
s5 = move(point=s4)
s6 = tell(pair=s2, point=s5)
'''
orchestrator = Orchestrator([grow, move, later, tell], model=ScriptedModel([]), processors=2)
for _ in range(2):
    result = orchestrator.execute_sync(PLAN)
    print(result.answer, result.error)
"""


def test_a_scripts_own_classes_are_the_same_when_they_come_back(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    line = "True True Pair(left=98, right=[1, 1]) Point(x=101, y=1) None\n"
    assert (done.stdout, done.stderr) == (line * 2, "")


CLASSES = Path(__file__).with_name("script_classes.py").read_text()
BEGIN, END = "# The classes begin here.\n", "# The classes end here.\n"


def local(script: str) -> str:
    """The script with its classes inside a function."""
    before, _, rest = script.partition(BEGIN)
    classes, _, after = rest.partition(END)
    return f"{before}def scope():\n{textwrap.indent(classes, '    ')}\nscope()\n{after}"


@pytest.mark.parametrize("script", [CLASSES, local(CLASSES)], ids=["of a script", "of a function"])
def test_a_class_is_the_same_in_every_direction(tmp_path: Path, script: str) -> None:
    file = tmp_path / "script.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    wrong, _, count = done.stdout.rpartition(" ")
    assert json.loads(wrong) == {}
    assert int(count) == 66


NOW = r"""
import os
import dataclasses

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

FACTOR = 2
ROWS = [1]
KEPT = {}


class Settings:
    factor = 10
    kept = {}

    def __init__(self):
        self.by = 1


SETTINGS = Settings()


@dataclasses.dataclass
class Point:
    x: int

    def scaled(self):
        Settings.kept[len(Settings.kept)] = 1
        return self.x * FACTOR


def helper(n):
    return n * FACTOR


def times(n: int) -> list:
    KEPT[n] = os.getpid()
    here = os.path.basename(os.getcwd()), os.environ.get("NOW")
    return [helper(n), len(ROWS), Settings.factor, SETTINGS.by, sorted(KEPT), *here]


def of_point(n: int) -> list:
    return [Point(n).scaled(), sorted(KEPT), len(Settings.kept)]


def of_given(point: Point) -> list:
    return [point.scaled(), sorted(KEPT), len(Settings.kept)]


def here(n: int) -> Point:
    return Point(n)


given = {GIVEN}
functions = [function(**given)(one) for one in (times, of_point, of_given)]
orchestrator = Orchestrator([*functions, function(here)], model=ScriptedModel([]), processors=1, learn=False)


def run(*plans):
    for plan in plans:
        result = orchestrator.execute_sync(plan)
        print(result.error or result.answer)


run("s1 = times(n=1)", "s1 = of_point(n=2)", "s1 = here(n=3)\ns2 = of_given(point=s1)")
FACTOR = 3
ROWS.append(2)
Settings.factor = 20
os.chdir("inside")
os.environ["NOW"] = "now"
run("s1 = times(n=4)", "s1 = of_point(n=5)", "s1 = here(n=6)\ns2 = of_given(point=s1)")
SETTINGS.by = 2
run("s1 = times(n=7)")


def helper(n):
    return -n * FACTOR


def scaled(self):
    return -1


Point.scaled = scaled
run("s1 = times(n=8)", "s1 = of_point(n=9)", "s1 = here(n=6)\ns2 = of_given(point=s1)")
"""


@pytest.mark.parametrize("given", ['{"kind": "compute"}', '{"timeout": 30}'])
def test_a_scripts_variables_are_as_they_are_now_and_what_a_process_keeps_stays(
    tmp_path: Path, given: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(NOW.replace("{GIVEN}", given))
    (tmp_path / "inside").mkdir()
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"[2, 1, 10, 1, [1], '{tmp_path.name}', None]",
        "[4, [1], 1]",
        "[6, [1], 2]",
        "[12, 2, 20, 1, [1, 4], 'inside', 'now']",
        "[15, [1, 4], 3]",
        "[18, [1, 4], 4]",
        "[21, 2, 20, 2, [1, 4, 7], 'inside', 'now']",
        "[-24, 2, 20, 2, [1, 4, 7, 8], 'inside', 'now']",
        "[-1, [1, 4, 7, 8], 4]",
        "[-1, [1, 4, 7, 8], 4]",
    ]


LARGE = """
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

WORDS = ["old"] * 10


class Table:
    rows = {0: "old"}


def first(n: int) -> str:
    return WORDS[0]


def row(n: int) -> str:
    return Table.rows[0]


def recursive(n: int) -> str:
    return recursive(n - 1) if n else WORDS[0]


given = {GIVEN}
functions = [function(**given)(one) for one in (first, row, recursive)]
orchestrator = Orchestrator(functions, model=ScriptedModel([]), processors=1, learn=False)


def run():
    results = orchestrator.execute_sync("s1 = first(n=1)\\ns2 = row(n=1)\\ns3 = recursive(n=2)")
    print([call.result or call.error for call in results.calls])


run()
for size in (20_000, 500_000):
    WORDS = [f"new {number}" for number in range(size)]
    Table.rows = dict.fromkeys(range(size), f"new {size}")
    run()
    WORDS.append("more")
    WORDS[0] = f"first of {size}"
    run()
    WORDS = ["old"] * 10
    Table.rows = {0: "old"}
    run()
"""


@pytest.mark.parametrize("given", ['{"kind": "compute"}', '{"timeout": 30}'])
def test_a_scripts_variable_that_was_set_anew_is_never_the_old_one_however_large(
    tmp_path: Path, given: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(LARGE.replace("{GIVEN}", given))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    old = str(["old"] * 3)
    expected = [old]
    for size in (20_000, 500_000):
        expected.append(str(["new 0", f"new {size}", "new 0"]))
        expected.append(str([f"first of {size}", f"new {size}", f"first of {size}"]))
        expected.append(old)
    assert done.stdout.splitlines() == expected


AND_BACK = r"""
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

small, large, odd = 1, [1] * 100_000, {"lock": len}


def zero():
    return 0


def first():
    return 1


code = first


@function(kind="compute")
def one() -> list:
    return [small, large[0], odd.get("n"), code()]


@function(kind="compute")
def other() -> list:
    return [small, large[0], odd.get("n"), code()]


@function(kind="compute")
def only_code() -> list:
    return [code()] * 4


orchestrator = Orchestrator([one, other, only_code], model=ScriptedModel([]), processors=1, learn=False)
told = []
for n, name in enumerate(["only_code", "one", "only_code", "other", "one", "other", "one"]):
    small, large, odd, code = n % 2, [n % 2] * 100_000, {"lock": len, "n": n % 2}, (zero, first)[n % 2]
    told.append(orchestrator.execute_sync(f"s1 = {name}()").answer)
small, large, odd, code = 0, [0] * 100_000, {"lock": len, "n": 0}, zero
for name in ("other", "one", "only_code"):
    told.append(orchestrator.execute_sync(f"s1 = {name}()").answer)
print(told)
"""


def test_a_variable_that_another_function_has_told_anew_and_that_is_set_back_is_not_stale(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(AND_BACK)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    expected = [[n % 2] * 4 for n in range(7)] + [[0] * 4] * 3
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


HELD = """
import logging, sqlite3, threading
from llmorch import Orchestrator, Processors, function
from llmorch.testing import ScriptedModel

{BEFORE}


@function(kind="compute")
def f(n: int) -> object:
    {BODY}


@function(kind="compute", resources={"desk": 1})
def g(n: int) -> int:
    return n + 1


model = ScriptedModel(["hello"])
shared = Processors(1, resources={"desk": 1})
orchestrator = Orchestrator([f, g], model=model, processors=shared, learn=False)
session = orchestrator.session()


class Holder:
    def __init__(self, held):
        self.held = held

    def seven(self):
        return 7


holder, locked = Holder(orchestrator), Holder(threading.Lock())
for call in orchestrator.execute_sync("s1 = f(n=1)\\ns2 = g(n=1)").calls:
    print(call.error if call.result is None else call.result)
"""
SENT = {
    "nothing": ("lock, file = threading.Lock(), open(__file__)", "return n", "1"),
    "an orchestrator": ("", "return orchestrator.processors", "1"),
    "an orchestrator that is run": ("", 'return orchestrator.execute_sync("s1 = g(n=5)").answer', "6"),
    "an orchestrator that asks": (
        "",
        'return orchestrator.execute_sync("s1 = self(\\"Hi?\\")").answer',
        "hello",
    ),
    "a helper's orchestrator": (
        "def helper():\n    return len(orchestrator.functions)",
        "return helper()",
        "3",
    ),
    "processors": ("", "return shared.count", "1"),
    "a session": ("", "return session.waiting", "0"),
    "a model": ("", "return model.name", "scripted"),
    "a logger": ("logger = logging.getLogger('mine')", "logger.info('n'); return logger.name", "mine"),
    "an object that holds an orchestrator": ("", "return holder.seven()", "7"),
}
NOT_SENT = {
    "lock": ("lock = threading.Lock()", "with lock:\n        return n"),
    "file": ("file = open(__file__)", "return file.read()"),
    "base": ("base = sqlite3.connect(':memory:')", "return base.execute('select 1').fetchone()"),
    "thread": ("thread = threading.Thread(target=print)", "return thread.name"),
    "state": ("state = {'lock': threading.Lock(), 'n': 3}", "return state['n']"),
    "locked": ("", "return locked.seven()"),
    "helper": ("lock = threading.Lock()\ndef helper(n, given=lock):\n    return n", "return helper(n)"),
}


def lines_of(tmp_path: Path, before: str, body: str) -> list[str]:
    file = tmp_path / "script.py"
    file.write_text(HELD.replace("{BEFORE}", before).replace("{BODY}", body))
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("uses", SENT)
def test_what_a_scripts_function_uses_is_there_in_its_process(tmp_path: Path, uses: str) -> None:
    before, body, expected = SENT[uses]
    assert lines_of(tmp_path, before, body) == [expected, "2"]


@pytest.mark.parametrize("name", NOT_SENT)
def test_what_can_not_be_sent_to_a_process_is_named(tmp_path: Path, name: str) -> None:
    told, other = lines_of(tmp_path, *NOT_SENT[name])
    assert told.startswith(f"f can't be sent to another process: it uses {name}, a value of type ")
    assert other == "2"
