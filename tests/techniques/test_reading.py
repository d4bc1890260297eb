"""What models write in turns: calls and answers among prose, bullets and fences."""

from __future__ import annotations

import pytest

from llmorch.errors import PlanError
from llmorch.plan import render_without_id
from llmorch.techniques.reading import read_batch, read_step

A, B = 'search(query="A")', 'search(query="B")'


def calls(step) -> list[str]:
    return ["error" if isinstance(item, PlanError) else render_without_id(item) for item in step.calls]


@pytest.mark.parametrize(
    "text",
    [
        f"{A}\n{B}",
        f"I need both:\n\n- {A}\n- {B}\n\nThey run together.",
        f"1. `{A}`\n2. `{B}`",
        f"1. {A}\n2. s2 = {B}",
        f"```python\ns1 = {A}\nx: {B}\n```",
        f"~~~\n{A}\n{B}\n~~~\n",
        f"**{A}**\n**{B}**",
        f"> {A}\n> {B}",
        f"Step 1: {A}\nStep 2: {B}",
        f"- `{A}`: the first\n- `{B}`: the second",
        f"{A}\n{B}\nResult of {A}: invented\nsearch(query='C')",
    ],
)
def test_the_calls_of_a_turn_are_found_among_other_text(text: str) -> None:
    assert calls(read_batch(text)) == [A, B]


@pytest.mark.parametrize(
    "wrong", ["search(query=", "s2 = search query", "search(query='B'))", "= search(query='B')"]
)
def test_a_wrong_call_of_a_turn_is_told_beside_the_right_ones(wrong: str) -> None:
    assert calls(read_batch(f"Both:\n{A}\n{wrong}")) == [A, "error"]


@pytest.mark.parametrize("text", ["I don't know.", "garbage (", "{}"])
def test_a_turn_of_prose_is_told_as_an_error(text: str) -> None:
    assert calls(read_batch(text)) == ["error"]


@pytest.mark.parametrize(
    "text",
    [
        f"Thought: a\nAction: {A}",
        f"Thought: a\n**Action:** `{A}`",
        f"Thought 1: a\nAction 1: {A}",
        f"- Action: {A}\nObservation: invented\nAction: {B}",
        f"Action:\n```python\n{A}\n```\nThen I wait.",
        f"Action: I call it.\n{A}",
        f"Action: s1 = {A}",
    ],
)
def test_the_action_of_a_step_is_found_among_other_text(text: str) -> None:
    assert calls(read_step(text)) == [A]
