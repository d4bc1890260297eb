"""How a batch form is declared: what it may be, and what a type checker sees."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import FunctionError, Orchestrator, function
from llmorch.declare.offered import as_functions, declared_in
from llmorch.places.by_value import dumps
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ROOT = Path(__file__).resolve().parents[1]


@function
def search(query: str, k: int = 500) -> str:
    """Search."""
    return query * k


@search.batch(size=8)
def search_many(calls: list[dict[str, Any]]) -> list[str]:
    """Search for several."""
    return [search(**call) for call in calls]


def test_both_forms_stay_functions_that_can_be_called_and_pickled() -> None:
    assert search("a", k=2) == "aa"
    assert search_many([{"query": "b", "k": 3}]) == ["bbb"]
    assert pickle.loads(pickle.dumps(search)) is search
    assert pickle.loads(pickle.dumps(search_many)) is search_many


def test_a_function_with_a_batch_form_can_be_sent_by_value() -> None:
    made: dict[str, Any] = {"__name__": "__main__", "function": function}
    exec("@function\ndef look(x): return x\n@look.batch\ndef looks(calls): return [look(1)]", made)
    sent = pickle.loads(dumps(made["looks"], worker=False))
    assert sent([]) == [1]


def test_the_declaration_knows_the_form_and_its_size() -> None:
    declared = declared_in(search)
    assert declared is not None
    assert declared.batch is not None
    assert (declared.batch.call, declared.batch.parameter, declared.batch.size) == (search_many, "calls", 8)
    assert (declared.is_batch, declared.together.is_batch, declared.together.call) == (
        False,
        True,
        search_many,
    )


def test_a_decorator_above_ours_keeps_the_batch_form() -> None:
    def twice(call: Callable[..., Any]) -> Any:
        @functools.wraps(call)
        def made(*args: Any, **named: Any) -> Any:
            return call(*args, **named) * 2

        return made

    @twice
    @function
    def look(x: int) -> int:
        return x

    @look.batch
    def looks(calls: list[dict[str, Any]]) -> list[int]: ...

    assert as_functions([look])["look"].batch is not None


def test_the_batch_form_is_not_offered_itself() -> None:
    with pytest.raises(FunctionError, match="search_many is the batch form of search: offer search alone"):
        Orchestrator([search, search_many], model=ScriptedModel([]))


def _generator(calls: list[dict[str, Any]]) -> Generator[int, None, None]:
    yield 1


def _fine(calls: list[dict[str, Any]]) -> list[int]: ...


class _Looks:
    def __call__(self, calls: list[dict[str, Any]]) -> list[int]: ...


WRONG = [
    (lambda: search.batch(lambda calls: calls), "its batch form is declared already: search_many"),
    (lambda: plain().batch(lambda: 0), "takes one parameter, the list of calls, not none"),
    (lambda: plain().batch(lambda query, k: []), "takes one parameter, the list of calls, not query, k"),
    (lambda: plain().batch(lambda *calls: []), r"takes one parameter that has a name, not \*calls"),
    (lambda: plain().batch(_generator), "_generator, can't be a generator; return a list"),
    (lambda: plain().batch(_Looks()), "is a function written with def, not"),
    (lambda: plain().batch(size=1)(_fine), "a whole number of calls, 2 or more, as its size, not 1"),
    (lambda: plain().batch(size=True)(_fine), "a whole number of calls, 2 or more, as its size, not True"),
    (lambda: plain(asks_model=True).batch(lambda calls: []), "asks the model has no batch form"),
]


def plain(**said: Any) -> Any:
    @function(**said)
    def look(x: int) -> str: ...

    return look


@pytest.mark.parametrize(("declare", "says"), WRONG)
def test_what_can_be_no_batch_form_says_what_to_do(declare, says) -> None:
    with pytest.raises(FunctionError, match=says):
        declare()


def test_the_form_of_a_method_takes_the_object_first() -> None:
    with pytest.raises(FunctionError, match="takes self and one parameter, the list of calls, not calls"):

        class Shelf:
            @function
            def look(self, x: int) -> int: ...

            @look.batch
            def looks(calls: list[dict[str, Any]]) -> list[int]: ...  # noqa: N805  that is the mistake


def test_a_form_without_a_process_of_its_own_has_no_bound_on_memory() -> None:
    @function(memory="1GiB")
    def look(x: int) -> int: ...

    @look.batch
    async def looks(calls: list[dict[str, Any]]) -> list[int]: ...

    with pytest.raises(FunctionError, match="look: memory bounds a process, and its batch form is async"):
        as_functions([look])


def test_a_function_that_is_not_declared_has_none() -> None:
    def look(x: int) -> int: ...

    with pytest.raises(AttributeError, match="batch"):
        look.batch(lambda calls: [])  # type: ignore[attr-defined]


TYPED = """\
from typing import Any

from llmorch import Orchestrator, function, stateful


@function
def search(query: str, k: int = 500) -> str:
    return query * k


@search.batch(size=8)
def search_many(calls: list[dict[str, Any]]) -> list[str]:
    return [search(call["query"]) for call in calls]


@function(timeout=3)
async def fetch(url: str) -> bytes:
    return b""


@fetch.batch
async def fetch_many(calls: list[dict[str, Any]]) -> list[bytes | Exception]:
    return [ValueError("no") for _ in calls]


@stateful
class Shelf:
    @function(effects="none")
    def look(self, number: int) -> str:
        return ""

    @look.batch
    def looks(self, calls: list[dict[str, Any]]) -> list[str]:
        return [self.look(call["number"]) for call in calls]


async def main() -> None:
    text: str = search("Texas", k=3)
    texts: list[str] = search_many([{"query": "Texas", "k": 3}])
    data: bytes = await fetch("there")
    shelf = Shelf()
    found: str = shelf.look(1) + shelf.looks([])[0] + search.__name__
    print(text, texts, data, found)
    Orchestrator([search, fetch, shelf, shelf.look])
    search(3)  # wrong
    shelf.look("a")  # wrong
"""


def test_a_type_checker_sees_the_functions_own_signatures(tmp_path) -> None:
    pytest.importorskip("mypy")
    file = tmp_path / "typed.py"
    file.write_text(TYPED, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    done = subprocess.run(
        [*command, "--cache-dir", str(ROOT / ".mypy_cache"), str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
    )
    wrong = [at for at, line in enumerate(TYPED.split("\n"), 1) if line.endswith("# wrong")]
    told = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [int(line.split(":")[1]) for line in told] == wrong, done.stdout + done.stderr
    assert all("[arg-type]" in line for line in told)
