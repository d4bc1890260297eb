"""Which variables of the program a worker process has, and what it starts."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING

import pytest

from llmorch import Orchestrator, Processors
from llmorch.declare.decorator import function
from llmorch.testing import ScriptedModel
from tests.places import sample

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio

KEY, OTHER = "LLMORCH_TEST_KEY", "LLMORCH_TEST_OTHER"
THREADS = {f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR")}


async def seen(only: Sequence[str] | None, *, timeout: float | None = None) -> list[set[str]]:
    """The variables of a worker, of a child of it, and of its process as the system shows it."""
    kind = "compute" if timeout is None else "inout"
    environments = function(kind=kind, timeout=timeout)(sample.environments)
    async with Processors(1, environment=only) as processors:
        orchestrator = Orchestrator(
            [environments], model=ScriptedModel([]), processors=processors, learn=False
        )
        return [set(names) for names in (await orchestrator.execute("s1 = environments()")).answer]


async def test_a_worker_has_the_programs_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "secret")
    assert all(KEY in names for names in await seen(None))


@pytest.mark.parametrize("timeout", [None, 20.0])
async def test_a_restricted_worker_and_its_children_have_the_named_variables_only(
    monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    monkeypatch.setenv(KEY, "secret")
    monkeypatch.setenv(OTHER, "wanted")
    needed = {"PYTHONHOME", "LD_LIBRARY_PATH", "LC_CTYPE", "VECLIB_MAXIMUM_THREADS"}
    for names in await seen([OTHER, "LLMORCH_TEST_ABSENT"], timeout=timeout):
        assert OTHER in names
        assert names - needed - THREADS == {OTHER}


async def test_a_restricted_worker_sees_what_the_program_sets_between_two_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variable = function(kind="compute")(sample.variable)
    async with Processors(1, environment=[OTHER]) as processors:
        orchestrator = Orchestrator([variable], model=ScriptedModel([]), processors=processors, learn=False)
        found = []
        for value in ("first", "second"):
            monkeypatch.setenv(OTHER, value)
            monkeypatch.setenv(KEY, value)
            for name in (OTHER, KEY):
                found.append((await orchestrator.execute(f's1 = variable(name="{name}")')).answer)
    assert found == ["first", "", "second", ""]


def test_processors_that_are_sent_to_a_process_are_restricted_there_too() -> None:
    sent = pickle.loads(pickle.dumps(Processors(1, environment=["PATH"])))
    assert sent._environment == ("PATH",)
    asyncio.run(sent.close())
