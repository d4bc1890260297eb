"""Plans that are right, with the functions that they call: those of our examples, and random ones.

Decides what a right plan looks like: every call exists, every literal has its type, every
result is used. It must not use the checks that are measured with these plans. The functions
are declarations only: what they declare is real, and calling them gives a value of their type.
"""

from __future__ import annotations

import random
import re
import typing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmorch import Orchestrator
from llmorch.declare.offered import as_functions, declared_in
from llmorch.places.files import load_file
from llmorch.testing import ScriptedModel
from tests.faults.random_plans import TABLE, random_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmorch import Function

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class RightPlan:
    """One plan. ``source`` is the file that it is from, and a query is there only if that has one."""

    text: str
    functions: Mapping[str, Function]
    """What may be called, by name, ``self`` among them."""
    source: str
    query: str = ""


def right_plans(count: int, seed: int = 0) -> list[RightPlan]:
    """The plans of our examples, and random ones up to ``count`` in all."""
    found = list(example_plans())[:count]
    functions = offered(TABLE)
    chance = random.Random(seed)
    while len(found) < count:
        found.append(RightPlan(random_plan(chance), functions, "random"))
    return found


def example_plans() -> Iterator[RightPlan]:
    """The plans in the folder ``examples``."""
    for path in sorted(EXAMPLES.glob("*/examples.plans")):
        module = vars(load_file(path.with_name("functions.py")))
        functions = offered([item for item in module.values() if callable(item) and declared_in(item)])
        yield from _plans_in(path, functions, path.parent.name)
        plan, query = (path.with_name(name).read_text(encoding="utf-8") for name in ("plan.txt", "query.txt"))
        yield RightPlan(plan.strip(), functions, path.parent.name, " ".join(query.split()))


def _plans_in(path: Path, functions: Mapping[str, Function], source: str) -> Iterator[RightPlan]:
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8").strip()):
        lines = block.splitlines()
        query = " ".join(line.lstrip("# ").removeprefix("query:").strip() for line in lines if line[0] == "#")
        yield RightPlan("\n".join(line for line in lines if line[0] != "#"), functions, source, query)


def offered(functions: Sequence[Callable[..., Any] | Function]) -> Mapping[str, Function]:
    """Declarations that compute nothing: calling one gives a value of the type that it declares."""
    declared = [stand_in(item, lambda name: None) for item in as_functions(functions).values()]
    return Orchestrator(declared, model=ScriptedModel([])).functions


def stand_in(declared: Function, began: Callable[[str], None]) -> Function:
    """The same declaration, whose call tells ``began`` its name and does nothing else."""
    value = _value(declared.returns)

    async def run(**_: Any) -> Any:
        began(declared.name)
        return value

    def ask(**_: Any) -> Any:
        began(declared.name)
        return value
        yield  # a generator asks the model for each value it yields: this one for none

    if declared.asks_model:
        return replace(declared, call=ask)
    return replace(declared, call=run, kind="inout", timeout=None)


def _value(annotation: Any) -> Any:
    if annotation in (None, type(None)):
        return None
    match typing.get_origin(annotation) or annotation:
        case kind if kind is int:
            return 3
        case kind if kind is float:
            return 2.5
        case kind if kind is dict:
            return {"title": "a page", "size": 4}
        case kind if kind is list:
            return [_value((typing.get_args(annotation) or (str,))[0])] * 6
        case _:
            return "some text"
