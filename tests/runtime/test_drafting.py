"""A plan as it arrives, alone and below the lines of an earlier draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmorch import Orchestrator, function
from llmorch.declare.offered import as_functions
from llmorch.errors import DuplicateId, EmptyPlan, PlanError
from llmorch.plan import render_call
from llmorch.requests import ModelRequest
from llmorch.runtime.draft import DraftReader
from llmorch.techniques import WritePlan
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

MADE: list[str] = []


@function(kind="inout", pure=True)
async def search(query: str, k: int = 500) -> str:
    """Search."""
    MADE.append(query)
    return f"all about {query}"


ABOVE = 's1 = search(query="a")\ns2 = search(query="b")\n'


def drafted(pieces: Sequence[str], above: str = "") -> tuple[list[list[str]], DraftReader]:
    """The ids that each piece and the end made known, and what was read."""
    drafting = DraftReader(WritePlan(ModelRequest(()), "Which?", above), as_functions([search]))
    found = [drafting.feed(piece) for piece in pieces]
    found.append(drafting.finish())
    return [[call.id for call in calls] for calls in found], drafting


def error_of(text: str, size: int) -> tuple[PlanError, DraftReader]:
    drafting = DraftReader(WritePlan(ModelRequest(()), "Which?"), as_functions([search]))
    try:
        for at in range(0, len(text), size):
            drafting.feed(text[at : at + size])
        drafting.finish()
    except PlanError as error:
        return error, drafting
    pytest.fail("it is a plan")


def test_the_lines_above_are_made_known_with_the_first_call_below_them() -> None:
    found, drafting = drafted(["s3 = ", 'search(query="c")\ns4 = search("d")'], ABOVE)
    assert found == [[], ["s1", "s2", "s3"], ["s4"]]
    assert drafting.text == f'{ABOVE}s3 = search(query="c")\ns4 = search("d")'
    assert [call.id for call in drafting.calls] == ["s1", "s2", "s3", "s4"]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_reply_that_writes_a_call_above_again_is_the_whole_plan(size) -> None:
    text = 's1 = search(query="x")\ns2 = search(query="y {s1}")'
    found, drafting = drafted([text[at : at + size] for at in range(0, len(text), size)], ABOVE)
    assert [id_ for ids in found for id_ in ids] == ["s1", "s2"]
    assert drafting.text == text
    assert [render_call(call) for call in drafting.calls] == text.split("\n")


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "text",
    [
        'search("a")\nsearch(query="b")\nsearch("{s1} {s2}")',
        's3 = search("a")\nsearch("c")',
        'search(query="b")\nsearch("a")\n',
    ],
)
def test_a_reply_that_begins_with_a_call_above_is_the_whole_plan_also_without_ids(size, text) -> None:
    above = 'search("a")\nsearch("b")\n'
    found, drafting = drafted([text[at : at + size] for at in range(0, len(text), size)], above)
    calls = [id_ for ids in found for id_ in ids]
    assert calls == [call.id for call in drafting.calls]
    assert len(calls) == len(text.strip().split("\n"))
    assert drafting.text == text


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_reply_that_writes_only_the_lines_above_again_in_a_fence_is_the_whole_plan(size) -> None:
    text = f"```python\n{ABOVE}```"
    _, drafting = drafted([text[at : at + size] for at in range(0, len(text), size)], ABOVE)
    assert drafting.text == text
    assert [call.id for call in drafting.calls] == ["s1", "s2"]


@pytest.mark.anyio
async def test_a_repair_without_ids_makes_no_call_with_effects_twice() -> None:
    paid = []

    @function(effects="unknown")
    async def pay(to: str) -> str:
        """Pay."""
        paid.append(to)
        return f"paid {to}"

    model = ScriptedModel(['pay("a")\npay("b"', 'pay("a")\npay("b")'])
    async with Orchestrator([pay], model=model, learn=False, processors=1) as orchestrator:
        assert (await orchestrator.run("Pay a and b")).status == "answered"
    assert paid == ["a", "b"]


def test_a_call_of_a_line_above_is_not_defined_again_once_the_reply_has_gone_on() -> None:
    with pytest.raises(DuplicateId):
        drafted(['s3 = search(query="c")\ns1 = search(query="a")\n'], ABOVE)


@pytest.mark.parametrize("reply", ["", "\n", "# nothing more\n"])
def test_a_reply_without_a_call_is_no_plan(reply) -> None:
    with pytest.raises(EmptyPlan):
        drafted([reply], ABOVE)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("text", "above"),
    [
        (f"{ABOVE}s3 = search(query=s9)\ns4 = search(query=s3)\n", ABOVE),
        (f"{ABOVE}s3 = fly(to=1)\n", ABOVE),
        (f"{ABOVE}s2 = search(query=s1)\n", ABOVE),
        (f"```python\n# first\n{ABOVE}\n\ns3 = that is all", f"```python\n# first\n{ABOVE}"),
        (
            's1 = search(\n  query="a",\n)\ns2 = search(\n  query="b",\n  k="many",\n)\n',
            's1 = search(\n  query="a",\n)\n',
        ),
        ('s1 = search("a"); s2 = search(s9)\n', ""),
        ("no plan", ""),
    ],
)
def test_a_repair_goes_on_from_the_lines_above_an_error_that_are_right(text, above, size) -> None:
    error, drafting = error_of(text, size)
    assert drafting.above(error) == above


@pytest.mark.anyio
async def test_a_repair_costs_only_the_lines_that_are_wrong() -> None:
    MADE.clear()
    model = ScriptedModel(
        [f'{ABOVE}s3 = self(prompt="{{s1}} {{s2}} {{s3}}")', 's3 = self(prompt="{s1} {s2}")', "b"]
    )
    async with Orchestrator([search], model=model, learn=False, processors=1) as orchestrator:
        result = await orchestrator.run("Which?")
    assert result.answer == "b"
    assert sorted(MADE) == ["a", "b"]
    assert "Write the plan again from line 3 on" in model.requests[1].messages[-1].text
    assert [recovery.kind for recovery in result.recoveries] == ["repair"]


@pytest.mark.anyio
async def test_a_repair_that_comes_no_further_is_followed_by_one_of_the_whole_plan() -> None:
    wrong = "s3 = search(query=s7)"
    model = ScriptedModel([f"{ABOVE}{wrong}", wrong, 's1 = search(query="c")'])
    async with Orchestrator([search], model=model, learn=False, processors=1) as orchestrator:
        assert (await orchestrator.run("Which?")).answer == "all about c"
    told = [request.messages[-1].text for request in model.requests[1:]]
    assert "from line 3 on" in told[0]
    assert told[1].endswith(f"Write the whole plan again, corrected.\n{model.requests[0].messages[-1].text}")
