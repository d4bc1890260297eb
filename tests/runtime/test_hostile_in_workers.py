"""Results whose methods raise, lie or write megabytes, made in worker processes, alone and in a batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import CallError, Orchestrator, Result, function
from tests.runtime.test_hostile_results import ERRORS, HOSTILE, USES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@function(kind="compute")
def make(how: str) -> Any:
    """Make one."""
    return HOSTILE[how]()


@function(timeout=20)
def make_apart(how: str) -> Any:
    """Make one in a process that isn't a processor's."""
    return HOSTILE[how]()


@function(kind="compute", show=str)
def make_shown(how: str) -> Any:
    """Make one, with a text for a model."""
    return HOSTILE[how]()


@function(kind="compute")
def make_many(how: str) -> Any:
    """Make one, with others at once."""
    return 7 if how == "sibling" else HOSTILE[how]()


@make_many.batch
def made_together(calls: list[dict[str, Any]]) -> list[Any]:
    return [7 if call["how"] == "sibling" else HOSTILE[call["how"]]() for call in calls]


@function(kind="compute")
def make_none(how: str) -> Any:
    """Make what is no list of results."""
    return None


@make_none.batch
def made_wrong(calls: list[dict[str, Any]]) -> Any:
    return HOSTILE[calls[0]["how"]]()


@function(kind="compute")
def fail(how: str) -> Any:
    """Fail."""
    raise ERRORS[how]()


@function(kind="compute")
def fail_many(how: str) -> Any:
    """Fail, with others at once."""
    raise ERRORS[how]()


@fail_many.batch
def failed_together(calls: list[dict[str, Any]]) -> list[Any]:
    return [ERRORS[call["how"]]() for call in calls]


@function(kind="compute")
def use(x: Any) -> Any:
    """Use."""
    return 1


@function(kind="compute")
def whole(x: int) -> int:
    """Use."""
    return 1


@function
def use_here(x: Any) -> Any:
    """Use on a thread."""
    return 1


@function
def sibling() -> int:
    """Count."""
    return 7


MAKERS = ["make", "make_apart", "make_shown", "make_many"]
FUNCTIONS = [make, make_apart, make_shown, make_many, make_none, fail, fail_many]
FUNCTIONS += [use, whole, use_here, sibling]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def orchestrator(anyio_backend: str) -> AsyncIterator[Orchestrator]:
    said: Any = {"model": "openai:x", "base_url": "http://127.0.0.1:1"}
    async with Orchestrator(FUNCTIONS, processors=1, learn=False, optimize=False, **said) as orchestrator:
        yield orchestrator


async def _held(orchestrator: Orchestrator, plan: str) -> Result:
    """Run a plan with a sibling: it ends as a Result, within every bound."""
    result = await orchestrator.execute(plan)
    assert result.calls["sibling"].result == 7, plan
    for call in result.calls:
        assert call.status in ("completed", "failed", "skipped"), plan
        assert len(call.error or "") <= 2_000, plan
        assert call.error is None or "\n" not in call.error, plan
        assert len(call.traceback or "") <= 20_000, plan
        assert len(repr(call)) <= 600, plan
        try:
            call.result  # noqa: B018 - it is opened when it is read
        except CallError as error:
            assert len(str(error)) <= 2_200, plan
    assert len(repr(result)) <= 600, plan
    return result


# What is computed of 2**40 shared items is for the tests of evaluation's bounds.
@pytest.mark.parametrize("how", [how for how in HOSTILE if how != "shared"])
async def test_whatever_a_worker_returns_its_siblings_end(orchestrator: Orchestrator, how: str) -> None:
    said = json.dumps(how)
    for maker in MAKERS:
        made = f"s1 = {maker}(how={said})\ns2 = {maker}(how={said})\n"
        others = 'sibling = make_many(how="sibling")' if maker == "make_many" else "sibling = sibling()"
        uses = "u1 = use(x=s1)\nu2 = whole(x=s1)\nu3 = use_here(x=s1)\nu4 = use(x=[s1, 1])\nlast = use(x=1)"
        result = await _held(orchestrator, f"{made}{others}\n{uses}")
        assert result.answer == 1
    await _held(orchestrator, f"s1 = make_none(how={said})\ns2 = make_none(how={said})\nsibling = sibling()")
    computed = [f"u{number} = use(x={one})" for number, one in enumerate(USES)]
    result = await _held(
        orchestrator,
        "\n".join([f"s1 = make(how={said})", "sibling = sibling()", *computed, "last = use(x=1)"]),
    )
    assert result.answer == 1


@pytest.mark.parametrize("how", ERRORS)
async def test_whatever_is_raised_in_a_worker_is_the_failure_of_its_call(
    orchestrator: Orchestrator, how: str
) -> None:
    said = json.dumps(how)
    for failing in ("fail", "fail_many"):
        plan = (
            f"s1 = {failing}(how={said})\ns2 = {failing}(how={said})\nsibling = sibling()\nlast = use(x=s2)"
        )
        result = await _held(orchestrator, plan)
        assert [call.status for call in result.calls] == ["failed", "failed", "completed", "skipped"]


async def test_one_result_that_cant_be_sent_fails_its_own_call_of_a_batch(orchestrator: Orchestrator) -> None:
    plan = 's1 = make_many(how="raises KeyError")\ns2 = make_many(how="large number")\nsibling = sibling()'
    result = await _held(orchestrator, plan)
    assert result.calls["s1"].error is not None
    assert result.calls["s1"].error.startswith("make_many returned a Hostile, which can't be sent")
    assert result.calls["s2"].result == 10**5_000
