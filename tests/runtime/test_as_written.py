"""Every call as it is written, but for what somebody said: by what is declared of its function."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

pytestmark = pytest.mark.anyio

MADE: Counter[str] = Counter()

PURE = {"pure": True}
NO_EFFECTS = {"effects": "none"}
READS = {"reads": ["index"]}
NOTHING: dict[str, Any] = {}
WRITES = {"writes": ["index"]}
UNKNOWN = {"effects": "unknown"}
IDEMPOTENT = {"writes": ["index"], "idempotent": True}
SAID = {
    "pure": PURE,
    "no effects": NO_EFFECTS,
    "reads": READS,
    "nothing": NOTHING,
    "writes": WRITES,
    "unknown": UNKNOWN,
    "idempotent": IDEMPOTENT,
}
said = pytest.mark.parametrize("said", SAID)


@pytest.fixture(autouse=True)
def _nothing_is_made() -> None:
    MADE.clear()


def functions(said: str, *, least: int = 0) -> list[Any]:
    """``act``, of which this is said, and pure functions around it; it fails below ``least``."""

    @function(**SAID[said])
    async def act(x: int) -> int:
        """Act."""
        MADE["act"] += 1
        if x < least:
            raise ValueError(f"{x} is too little")
        return x

    @function(pure=True)
    async def source(x: int) -> int:
        """A number, a little later."""
        await asyncio.sleep(0.02)
        return x

    @function(pure=True)
    async def need(x: int, least: int = 2) -> int:
        """The number, which must not be too small."""
        if x < least:
            raise ValueError(f"{x} is too little")
        return x

    @function(pure=True)
    async def both(x: Any, y: Any) -> int:
        """The first of two."""
        return x

    return [act, source, need, both]


def orchestrator(said: str, *replies: str, least: int = 0, **settings: Any) -> Orchestrator:
    model = ScriptedModel([*replies, *[replies[-1]] * 20] if replies else [])
    return Orchestrator(functions(said, least=least), model=model, learn=False, **settings)


@said
async def test_only_what_is_said_to_change_nothing_begins_before_the_whole_plan_is_known(said) -> None:
    begun: list[int] = []
    model = ScriptedModel([["s1 = act(x=1)\n", "s2 = need(x=2)\n", "s3 = both(x=s1, y=s2)"]], delay=0.02)
    made = Orchestrator(functions(said), model=model, learn=False)
    result = await made.run("Do it.", wrote=lambda _: begun.append(MADE["act"]))
    assert result.answer == 1
    assert begun == [0, *([1, 1] if said in ("pure", "no effects", "reads") else [0, 0])]
    assert MADE["act"] == 1


@said
async def test_of_a_plan_that_is_refused_nothing_was_made_but_what_changes_nothing(said) -> None:
    refused, repaired = "s1 = act(x=1)\ns2 = need(y=2)", "s1 = need(x=2)"
    made = orchestrator(said, refused, repaired)
    result = await made.run("Do it.")
    assert result.answer == 2
    assert MADE["act"] == (1 if said in ("pure", "no effects", "reads") else 0)


@said
async def test_identical_calls_are_made_once_only_if_they_are_pure(said) -> None:
    plan = "s1 = act(x=1)\ns2 = act(x=1)\ns3 = both(x=s1, y=s2)"
    result = await orchestrator(said).execute(plan)
    assert result.answer == 1
    assert MADE["act"] == (1 if said in ("pure", "no effects") else 2)
    MADE.clear()
    await orchestrator(said, optimize=False).execute(plan)
    assert MADE["act"] == 2


@said
async def test_what_nothing_uses_is_left_out_for_a_query_only_if_it_is_pure(said) -> None:
    plan = "s1 = source(x=1)\ns2 = act(x=s1)\ns3 = need(x=2)"
    result = await orchestrator(said, plan).run("Do it.")
    assert result.answer == 2
    assert MADE["act"] == (0 if said in ("pure", "no effects") else 1)
    MADE.clear()
    await orchestrator(said, plan, optimize=False).run("Do it.")
    assert MADE["act"] == 1


@said
async def test_a_plan_that_is_executed_leaves_nothing_out(said) -> None:
    plan = "\n".join(f"s{at} = act(x={at})" for at in range(1, 6))
    result = await orchestrator(said).execute(plan)
    assert [call.status for call in result.calls] == ["completed"] * 5
    assert MADE["act"] == 5


async def test_the_model_is_not_asked_about_a_result_that_nothing_uses_unless_the_call_only_looks() -> None:
    plan = "s1 = act(x=1)\ns2 = need(x=2)"
    for said in SAID:
        made = orchestrator(said, plan)
        result = await made.run("Do it.")
        assert result.usage.requests == (2 if said in ("pure", "no effects", "reads") else 1), said


RECOVERED = "s1 = source(x=1)\ns2 = act(x=s1)\ns3 = need(x=s1)\ns4 = both(x=s3, y=s2)"


@said
async def test_a_recovery_makes_again_what_ended_well_only_if_somebody_said_that_it_may(said) -> None:
    plan = RECOVERED.replace("need(x=s1)", "need(x=s1 + 0 * s2)")
    result = await orchestrator(said, plan, "s1 = source(x=2)").run("Do it.")
    again = said in ("pure", "no effects", "reads", "idempotent")
    assert result.answer == (2 if again else None)
    assert MADE["act"] == (2 if again else 1)
    if not again:
        how = "is declared neither pure nor" if said == "nothing" else "has effects and is not declared"
        assert f"not made again: s2 (act) {how} idempotent" in result.error


@said
async def test_a_recovery_makes_again_a_call_that_failed_unless_it_changes_something(said) -> None:
    plan = "s1 = source(x=1)\ns2 = act(x=s1)"
    result = await orchestrator(said, plan, "s1 = source(x=2)", least=2).run("Do it.")
    again = said not in ("writes", "unknown")
    assert result.answer == (2 if again else None)
    assert MADE["act"] == (2 if again else 1)


@said
async def test_a_recovery_makes_again_a_call_that_the_model_writes_anew_unless_it_changes_something(
    said,
) -> None:
    plan = "s1 = act(x=1)\ns2 = need(x=s1)"
    result = await orchestrator(said, plan, "s1 = act(x=2)").run("Do it.")
    again = said not in ("writes", "unknown")
    assert result.answer == (2 if again else None)
    assert MADE["act"] == (2 if again else 1)


@said
async def test_a_new_plan_makes_again_what_the_model_writes_again_unless_it_changes_something(said) -> None:
    join = ["Thought: not yet\nReplan: act again", "s2 = act(x=1)", "Thought: done\nAnswer: 1"]
    made = orchestrator(said, "s1 = act(x=1)", *join, technique="llmcompiler")
    result = await made.run("Do it.")
    once = said in ("pure", "no effects", "writes", "unknown")
    assert result.answer == "1"
    assert MADE["act"] == (1 if once else 2)


@said
async def test_a_model_that_thinks_in_turns_and_repeats_a_call_has_it_made_again_unless_it_is_pure(
    said,
) -> None:
    step = "Thought: act\nAction: act(x=1)"
    result = await orchestrator(said, step, step, "Thought: done\nAnswer: 1", technique="react").run("Do it.")
    assert result.answer == "1"
    assert MADE["act"] == (1 if said in ("pure", "no effects") else 2)


async def test_the_first_run_that_would_gain_says_once_how_to_declare_a_function_pure() -> None:
    plan = "s1 = act(x=1)\ns2 = act(x=1)\ns3 = both(x=s1, y=s2)"
    made = orchestrator("nothing")
    first, second = await made.execute(plan), await made.execute(plan)
    assert first.notes == (
        "nothing is declared of act, so its calls were made as written (s2 was made though the same as an "
        "earlier one): where a call is nothing but its result, @function(pure=True) says so",
    )
    assert second.notes == ()


async def test_a_call_that_waited_for_the_plan_is_worth_a_word_and_one_that_did_not_is_not() -> None:
    pieces = ["s1 = act(x=1)\n", "s2 = need(x=2)\n", "s3 = both(x=s1, y=s2)"]
    quick = Orchestrator(functions("nothing"), model=ScriptedModel([pieces]), learn=False)
    assert (await quick.run("Do it.")).notes == ()
    slow = Orchestrator(functions("nothing"), model=ScriptedModel([pieces], delay=0.1), learn=False)
    (note,) = (await slow.run("Do it.")).notes
    assert "s1 waited 0." in note
    assert "@function(pure=True)" in note
    at_the_end = [["s1 = need(x=1, least=0)\n", "s2 = need(x=s1, least=0)\n", "s3 = act(x=s2)\n", "# all\n"]]
    slow = Orchestrator(functions("nothing"), model=ScriptedModel(at_the_end, delay=0.1), learn=False)
    assert (await slow.run("Do it.")).notes == ()


@pytest.mark.parametrize("said", ["pure", "reads", "writes", "unknown", "idempotent"])
async def test_nothing_is_said_of_a_function_of_which_something_is_declared(said) -> None:
    plan = "s1 = act(x=1)\ns2 = act(x=1)\ns3 = both(x=s1, y=s2)"
    assert (await orchestrator(said).execute(plan)).notes == ()
