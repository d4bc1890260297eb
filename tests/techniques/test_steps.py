"""What models write in turns: calls and answers among prose, bullets and fences."""

from __future__ import annotations

import pytest

from llmorch.errors import PlanError
from llmorch.plan import render_without_id
from llmorch.techniques.steps import read_answer, read_batch, read_step, read_verdict

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
        f"Thought: I search.\n{A}\n{B}\nThought: they found it\nsearch(query='C')",
        f"{A}\n{B}\n\n# query: another\nsearch(query='C')",
        f"{A}\n{B}\nUser: another\nsearch(query='C')",
        f"<draft>\nsearch(query='C')\n</draft>\n{A}\n{B}",
        f"<!-- search(query='C') -->\n{A}\n{B}",
        f"**Thinking:**\nsearch(query='C')\n**Plan:**\n{A}\n{B}",
        f"Actions:\n{A}\n{B}",
        f"```{A}```\n```{B}```",
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
        f"Action: ```{A}```",
        f"Action: ```python\n{A}\n```",
        f"### Action\n{A}",
        f"**Action**\n{A}",
        f"<action>{A}</action>",
        f"Thought: a\n<action>\n{A}\n</action>",
        f"Action\uff1a{A}",
        f"[Action] {A}",
        f"Next action: {A}",
        f"Thought: a\n{A}",
        f"<draft>\nAction: {B}\n</draft>\nAction: {A}",
        f"<draft>\nAnswer: no\n</draft>\nAction: {A}",
    ],
)
def test_the_action_of_a_step_is_found_among_other_text(text: str) -> None:
    assert calls(read_step(text)) == [A]


@pytest.mark.parametrize(
    "text",
    [
        "Answer: yes",
        "```\nAnswer: yes\n```",
        "Answer: ```yes```",
        "Answer:\n```\nyes\n```",
        "Answer: `yes`",
        "`Answer: yes`",
        "**Answer:** yes",
        "**Answer**\nyes",
        "## Answer\nyes",
        "### Final Answer: yes",
        "> Answer: yes",
        "- Answer: yes",
        "The answer: yes",
        "Answer\uff1ayes",
        "<answer>\nyes\n</answer>",
        "<final_answer>yes</final_answer>.",
        "Answer: yes\n\nQuery: another?\nAnswer: no",
        "Answer: yes\n\n# query: another?\nno",
        "Answer: yes\n---\nUser: another?",
        "Answer: yes\nObservation: no",
        "<draft>\nAnswer: no\n</draft>\nAnswer: yes",
        "<!-- Answer: no -->\nAnswer: yes",
    ],
)
def test_an_answer_is_found_whatever_sets_it_off(text: str) -> None:
    assert read_step(text).answer == "yes"
    assert read_batch(text).answer == "yes"
    assert read_verdict(text).answer == "yes"
    assert read_answer(text) == "yes"


@pytest.mark.parametrize(
    "answer",
    [
        "<table>\n<tr>1</tr>\n</table>",
        "a <!-- b --> c",
        "Run this:\n```python\nf()\n```",
        "User: Ann\nHost: here",
        "Use map.\n\nExample:\nmap(f, x)",
        "a `b` c `d`",
    ],
)
def test_an_answer_keeps_its_own_text(answer: str) -> None:
    assert read_step(f"Thought: a\nAnswer: {answer}").answer == answer
    assert read_answer(answer) == answer


@pytest.mark.parametrize(
    "text", ["Thought: I think.", "Thought: I use search (the function).", "I don't know."]
)
def test_a_step_of_thoughts_alone_has_no_action(text: str) -> None:
    assert calls(read_step(text)) == []
