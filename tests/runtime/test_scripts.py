"""Functions of a script, without a main guard: its classes go to a process and come back."""

from __future__ import annotations

import subprocess
import sys

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
