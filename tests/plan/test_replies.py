"""A plan in a model's reply: found whatever stands around it, and never inside thoughts."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch.errors import EmptyPlan, InvalidSyntax, PlanError, PlanTooLarge
from llmorch.plan import Parser, calls_in, parse, render, render_call
from llmorch.plan.replies import ReplyScanner
from llmorch.plan.spoken import blanked, spoken
from tests.strategies import plans

ONE = "s1 = add(a=1, b=2)"
TWO = f"{ONE}\ns2 = add(a=s1, b=3)"
LONG = """\
s1 = write(text='''a
```
</think>
<|im_end|>
- b = f()
''')
s2 = ask(
  what="</think> <think> [THINK]",
  k=[1,
 2],
)"""
FUNCTIONS = ("add", "write", "ask", "boom")
BOOM = "s1 = boom(x=1)"

THOUGHTS = [
    "<think>\nadd fits\n</think>",
    "<think>add fits</think>",
    "<THINK>add</THINK>",
    "<thinking effort='high'>\nadd\n</thinking>",
    "<think >add</think >",
    "<thought>add</thought>",
    "<thoughts>add</thoughts>",
    "<reasoning>\nadd\n</reasoning>",
    "<reflection>add</reflection>",
    "<scratchpad>add</scratchpad>",
    "<analysis>add</analysis>",
    "<seed:think>\nadd\n</seed:think>",
    "◁think▷\nadd\n◁/think▷",
    "[THINK]add[/THINK]",
    "<|START_THINKING|>add<|END_THINKING|><|START_RESPONSE|>",
    "<|begin_of_thought|>\nadd\n<|end_of_thought|>\n<|begin_of_solution|>",
    "<|channel|>analysis<|message|>add<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>analysis<|message|>\nadd\n<|end|>\n<|start|>assistant<|channel|>final<|message|>\n",
    "<|channel|>analysis<|message|>add<|channel|>final <|constrain|>python<|message|>",
    f"<think>\n```python\n{BOOM}\n```\n{BOOM}\n</think>",
    f"<think>{BOOM}</think>",
    f"<think>\n<think>\n{BOOM}\n</think>\n{BOOM}\n</think>",
    f"<think>a</think>\n<think>\n{BOOM}\n</think>",
    f"<think>\n<analysis>\n{BOOM}\n</think>",
    f'<think>the tag `</think>` or "<think>"\n{BOOM}\n</think>',
    f"<think>\n1. {BOOM}\ns2 = boom(\n</think>",
    f"<think>it's </s> <|im_end|>\n{BOOM}\n</think>",
]
NAMES = [
    *(
        "thinking_process",
        "antThinking",
        "reasoning_content",
        "rationale",
        "reasoning_steps",
        "reasoning-trace",
    ),
    *("thinking-block", "think_step", "think1", "thoughtProcess", "chainOfThought", "analysis_process"),
    *("planning", "brainstorm", "draft", "critique", "pondering", "musing"),
    *("details", "explanation", "self-check"),
]
NAMED = [
    *(f"<{name}>\n{BOOM}\nno\n</{name}>" for name in NAMES),
    f"Hm. <critique>\n{BOOM}\n</critique>",
    f"<draft><b>first\n{BOOM}\n</draft>",
    f"<draft>\n<draft>\n{BOOM}\n</draft>\n{BOOM}\n</draft>",
    f"<draft>\n<think>\n{BOOM}\n</think>\n{BOOM}\n</draft>",
    f"<details>\n<summary>Why</summary>\n\n{BOOM}\n</details>",
    f"<!-- {BOOM} -->",
    f"<!--\n{BOOM}\n-->",
    f"< think >\n{BOOM}\n< / think >",
    f"&lt;think&gt;\n{BOOM}\n&lt;/think&gt;",
    f"<begin_of_thought>\n{BOOM}\n<end_of_thought>",
    f"<\uff5cbegin▁of▁thought\uff5c>\n{BOOM}\n<\uff5cend▁of▁thought\uff5c>",
    f"[THOUGHT]\n{BOOM}\n[/THOUGHT]",
    f"[REASONING]\n{BOOM}\n[/REASONING]",
    f"[THOUGHT]\n{BOOM}\n[PLAN]",
]
"""Thoughts that are told by the name of what stands around them."""
HEADED = [
    *(f"```{name}\n{BOOM}\n```" for name in ("thinking", "thought", "reasoning", "Thoughts")),
    f"~~~thinking\n{BOOM}\n~~~",
    f"```thinking\n```python\n{BOOM}\n```\n{BOOM}\n```",
    f"**Thinking:**\n{BOOM}\n**Plan:**",
    f"**Thinking**\n{BOOM}\n\n**Final Plan**",
    f"Thinking:\n{BOOM}\n\nFinal plan:",
    f"## Reasoning\nI could:\n{BOOM}\n\n## Plan",
    f"Thought: I could\n{BOOM}\nAnswer:",
    f"### Step 1: Reasoning\n{BOOM}\n### Step 2: Plan",
    f"Let me think.\n{BOOM}\n\nFinal answer:",
    f"Thinking...\n{BOOM}\n\nMy plan:",
    f"[thought]\n{BOOM}\n[/thought]",
    f"My thought process:\n{BOOM}\nPlan:",
]
"""Thoughts that end with a line."""
UNPAIRED = [
    "<b>\n",
    "<foo>",
    "Use <foo> here:\n",
    "<steps>\n",
    "<plan>\n<foo>\n",
    "<!--\n",
    "<x></y>\n",
    "<br>\n",
]
"""Tags that stand around a plan, or that are never closed."""
UNOPENED = [
    f"I think.\n{BOOM}\n</think>",
    f"{BOOM}\n</think>",
    "add fits </think>",
    f"Let's see.\n```python\n{BOOM}\n```\nYes.\n</think>",
    f"Let's see.\n```json\n{BOOM}\n</think>",
    f"{BOOM}</think>",
    f"{BOOM}</think>\nmore\n</think>",
    f"Perhaps\n{BOOM}\n◁/think▷",
    f"{BOOM}\n[/THINK]",
    f"{BOOM}<|end|><|start|>assistant<|channel|>final<|message|>",
    f"{BOOM}\n<|end|>\n<|start|>assistant<|channel|>final<|message|>",
    f"analysisWe add.\n{BOOM}\nDone.assistantfinal",
    "s1 = boom(\n  x=1,\n</think>",
]
BEFORE = [
    "Here is the plan:\n",
    "Sure! I'd do it like this (in two steps):\n\n",
    "Voici le plan :\n",
    "以下是计划\uff1a\n首先调用 add(a=1, b=2)\uff0c然后\n",
    "План: сложить числа.\n",
    "### Plan\n---\n",
    "We add. It's simple: 1 + 2 = 3.\n",
    "Note(s):\n",
    "<plan>\n",
    "<|im_start|>assistant\n",
    "<s>",
    "Functions:\n- add(a: int, b: int) -> int: Add.\n",
    "{\n}\n",
    "The `<think>` tag isn't used.\n",
    'I write "</think>" in quotes.\n',
]
AFTER = [
    "\nThis adds them.",
    "\n\n`s1` holds the sum, and s2 is another one.",
    "\n- s1: the sum\n- `s1`: the result of `add(a=1, b=2)`",
    f"\nIn other words, {ONE} adds them.",
    "\nVoilà !",
    "\n这是总和。",
    "\n</plan>",
    '\n```json\n{"s1": 3}\n```',
    "\n```output\ns1 = 3\n```",
    "<|im_end|>",
    "<|im_end|>\n<|im_start|>user\ns9 = boom(x=1)",
    "\n<|eot_id|>\ns9 = boom(x=1)",
    "<|endoftext|>s9 = boom(x=1)",
    "</s>",
    " </s>\n[INST] and now? [/INST]\ns9 = boom(x=1)",
    "<end_of_turn>\n<start_of_turn>user\ns9 = boom(x=1)",
    "<|end|>",
    "<|return|>",
    "\n<END_OF_PLAN>\ns9 = boom(x=1)",
    "<\uff5cend▁of▁sentence\uff5c>s9 = boom(x=1)",
    "<eos>",
    "\n[END]\ns9 = boom(x=1)",
    "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
    "\n<think>\nis it right?\ns9 = boom(x=1)\n</think>",
    "\n<think>\ns9 = boom(x=1)",
    "\n<|user|>\ns9 = boom(x=1)",
    "\n<critique>\ns9 = boom(x=1)\n</critique>",
    "\n\n# query: And then?\ns9 = boom(x=1)",
    "\n\nQuery: And then?\nPlan:\ns9 = boom(x=1)",
    "\n\nFunctions: boom(x: int)\nQuery: And then?\ns9 = boom(x=1)",
    "\nObservation: 3\ns9 = boom(x=1)",
    "\nUser: And then?\ns9 = boom(x=1)",
    "\nHuman: And then?\ns9 = boom(x=1)",
    "\n\n### User\nAnd then?\ns9 = boom(x=1)",
    "\n\n**Query 2:** And then?\ns9 = boom(x=1)",
    "\n<user>\nAnd then?\n</user>\ns9 = boom(x=1)",
]
FENCES = [
    "```\n{}\n```",
    "```python\n{}\n```",
    "``` python\n{}\n```",
    '```plan title="x"\n{}\n```',
    "```{{python}}\n{}\n```",
    "```text\n{}\n```",
    "~~~\n{}\n~~~",
    "~~~ python\n{}\n~~~",
    "````\n{}\n````",
    "  ```python\n{}\n  ```",
    "- ```python\n{}\n  ```",
    "1. ```python\n{}\n```",
    "```python\n{}",
    "```{}\n```",
    "```python {}\n```",
    "```python\n{}```",
    "```{}```",
    "```python\n\n{}\n\n```",
    "Here: ```python\n{}\n```",
    "```bash\npip install x\n```\n```python\n{}\n```",
    "```python\nimport math\n{}\n\n```\n```\n3\n```",
    "<tool_call>\n{}\n</tool_call>",
]
LINES = [
    "- {}",
    "* {}",
    "• {}",
    "+ {}",
    "> {}",
    ">>> {}",
    "> > {}",
    "`{}`",
    "**{}**",
    "- `{}`",
    "* **{}**",
    "- `{}`: adds them",
    "    {}",
    "\t{}",
    "{}  # adds",
    "{} — adds the numbers",
    "{} -> the sum, at last",
    "{} -> 3",
    "> {} -> 3",
    '{} => "text"',
    "{} (adds them)",
    "{}.",
    "Step 1: {}",
    "**Step 1:** {}",
    "Step 1 - {}",
    "Schritt 1: {}",
    "步骤1\uff1a{}",
    "Plan: {}",
    "- [ ] {}",
    "1. {}",
    "1) {}",
    "(1) {}",
    "1. `{}`",
    "1. **{}**",
    "<plan>{}</plan>",
    "{}\r",
    "In [1]: {}",
]


def read(text: str, cuts: list[int] | None = None, **options: bool) -> list[str]:
    """The calls in a reply that arrives in pieces; none that was taken back."""
    parser = Parser(reply=ReplyScanner(FUNCTIONS), **options)
    calls, places = [], [0, *sorted(cuts or []), len(text)]
    for start, end in pairwise(places):
        before = parser.voids
        found = parser.feed(text[start:end])
        calls = found if parser.voids != before else calls + found
    before = parser.voids
    found = parser.finish()
    calls = found if parser.voids != before else calls + found
    return [render_call(call) for call in calls]


def right(text: str, **options: bool) -> list[str]:
    parser = Parser(**options)
    return [render_call(call) for call in [*parser.feed(text), *parser.finish()]]


@pytest.mark.parametrize("plan", [ONE, TWO, LONG], ids=["one", "two", "long"])
@pytest.mark.parametrize("around", [*(f"{text}\n{{}}" for text in (*THOUGHTS, *NAMED, *HEADED)),
    *(f"{text}{{}}" for text in (*THOUGHTS, *NAMED, *UNPAIRED)),
    *(f"{text}\n{{}}" for text in UNOPENED), *(f"{text}{{}}" for text in UNOPENED), *(f"{text}{{}}" for text in BEFORE),
    *(f"{{}}{text}" for text in AFTER)])  # fmt: skip
def test_a_plan_is_found_whatever_stands_before_and_after_it(around: str, plan: str) -> None:
    text = around.replace("{}", plan, 1)
    assert read(text) == right(plan)
    assert read(text, list(range(len(text)))) == right(plan)
    assert [render_call(call) for call in calls_in(text, FUNCTIONS)] == right(plan)
    said = spoken(text).text
    assert [render_call(call) for call in calls_in(said, FUNCTIONS)] == right(plan)
    assert blanked(text).count("\n") == text.count("\n")


@pytest.mark.parametrize("plan", [ONE, TWO, LONG], ids=["one", "two", "long"])
@pytest.mark.parametrize("fence", FENCES)
def test_a_plan_is_found_in_fences_of_every_form(fence: str, plan: str) -> None:
    for before in ("", "Here you go:\n\n", f"{THOUGHTS[0]}\n"):
        for after in ("", "\nThat's it.", f"\n- `{plan.splitlines()[0]}`: adds them", "<|im_end|>"):
            if plan == LONG and "adds" in after:
                continue
            assert read(f"{before}{fence.format(plan)}{after}") == right(plan)


@pytest.mark.parametrize("form", LINES)
def test_a_line_is_found_behind_bullets_and_labels(form: str) -> None:
    assert read("\n".join(form.format(line) for line in TWO.split("\n"))) == right(TWO)
    assert read(form.format('add(a=1, b="x")'), numbers=True) == ['s1 = add(a=1, b="x")']
    assert read(form.format("s1: add(a=1)")) == right("s1 = add(a=1)")


@given(
    plan=plans(max_calls=4),
    before=st.lists(st.sampled_from([*BEFORE, *(f"{text}\n" for text in THOUGHTS)]), max_size=3),
    unopened=st.sampled_from(["", "", *(f"{text}\n" for text in UNOPENED)]),
    fence=st.sampled_from(["{}", *FENCES]),
    after=st.sampled_from(["", *AFTER]),
    data=st.data(),
)
def test_no_decoration_and_no_piece_changes_a_plan(plan, before, unopened, fence, after, data) -> None:
    written = render(plan)
    text = "".join(
        [
            "".join(before),
            unopened,
            *before,
            fence.replace("{{", "{").replace("}}", "}").replace("{}", written, 1),
            after,
        ]
    )
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    assert read(text, cuts) == right(written)


@pytest.mark.parametrize("tag", ["<b>", "<foo>", "<!--", "<step_one>"])
def test_what_stands_after_a_tag_that_is_never_closed_is_read_at_its_place(tag: str) -> None:
    assert read(f"{ONE}\n{tag}\ns2 = add(a=s1, b=3)") == right(TWO)
    with pytest.raises(PlanError) as caught:
        read(f"Here:\n{tag} s1 = add(a=zz)\n")
    assert (caught.value.line, caught.value.column) == (2, len(tag) + 13)


@pytest.mark.parametrize(
    "thought",
    [
        f"<foo>\n{BOOM}\n</think>",
        f"<draft>Perhaps\n{BOOM}\n◁/think▷",
        "s1 = 3</think>",
        "s1 = add(a=zz)</think>",
        "It's\ns1 = boom(x='a)</think>",
    ],
)
def test_a_thoughts_end_voids_all_before_it_whatever_stands_there(thought: str) -> None:
    assert read(f"{thought}\n{ONE}") == right(ONE)
    assert [render_call(call) for call in calls_in(f"{thought}\n{ONE}", FUNCTIONS)] == right(ONE)
    assert spoken(f"{thought}\n{ONE}").text == ONE


@pytest.mark.parametrize(
    "name", ["plan", "answer", "Plan", "final_answer", "tool_call", "function_calls", "code", "steps"]
)
def test_a_tag_whose_name_is_one_of_a_plan_holds_the_plan(name: str) -> None:
    assert read(f"<{name}>\n{TWO}\n</{name}>") == right(TWO)
    assert read(f"<draft>\n{BOOM}\n</draft>\n<{name}>{ONE}</{name}>") == right(ONE)


@pytest.mark.parametrize(
    "text",
    [
        "Query: 1 + 2 + 3?\nPlan:\n{}\n{}",
        "{}\n# Query: the second sum\n{}",
        "{}\n\n# the user wants more\n{}",
        "Thought: I add.\n{}\n{}",
        "**Thinking:** I add.\n\n```python\n{}\n{}\n```\nAnswer: the sum",
    ],
)
def test_a_label_that_is_no_other_turn_and_no_plan_after_thoughts_takes_no_call_away(text: str) -> None:
    assert read(text.format(*TWO.split("\n"))) == right(TWO)


def test_what_a_shell_shows_below_a_call_is_no_call() -> None:
    assert read(f">>> {ONE}\n3") == right(ONE)
    assert read(f">>> {ONE}\n3\n>>> s2 = add(a=s1, b=3)\n6") == right(TWO)


def test_a_call_is_handed_on_as_soon_as_its_line_is_complete() -> None:
    parser = Parser(reply=ReplyScanner(FUNCTIONS))
    assert parser.feed(f"<think>hm</think>\nHere:\n```python\n{ONE}") == []
    assert [call.id for call in parser.feed("\ns2 = a")] == ["s1"]
    assert [call.id for call in parser.feed("dd(a=s1)\n```")] == ["s2"]


def test_a_plan_goes_on_in_a_second_fence() -> None:
    first, second = TWO.split("\n")
    assert read(f"First:\n```python\n{first}\n```\nThen:\n```python\n{second}\n```\nDone.") == right(TWO)
    assert read(f"```python\n{first}\n```\nThen:\n{second}") == right(TWO)
    assert read(f"A draft: \n{TWO}\nSo:\n```\n{TWO}\n```") == right(TWO)


def test_a_quoted_fence_loses_its_quotes_in_every_line() -> None:
    plan = "s1 = write(\n  text='''a\nb''',\n)\ns2 = add(a=1)"
    quoted = "\n".join(f"> {line}" for line in f"```python\n{plan}\n```".split("\n"))
    assert read(quoted) == right(plan)
    assert read(">>> s1 = add(\n...   a=1,\n... )") == right("s1 = add(a=1)")


@pytest.mark.parametrize(
    "text",
    [
        "s1 = await add(a=1, b=2)",
        "s1: await add(a=1, b=2)",
        f"{ONE}\nprint(s1)",
        f'{ONE}\nprint(f"It is {{s1}}")',
        f'{ONE}\nprint("It is", s1)',
        f"{ONE}\nreturn s1",
        f"{ONE}\nreturn s1  # the sum",
        f"```python\n{ONE}\nprint(s1)\n```\nOutput:\n```\n3\n```",
    ],
)
def test_what_is_only_a_habit_of_python_changes_nothing(text: str) -> None:
    assert read(text) == right(ONE)


def test_a_call_without_an_id_may_be_awaited_or_returned() -> None:
    assert read("await add(a=1, b=2)", numbers=True) == right(ONE)
    assert read(f"{ONE}\nreturn add(a=s1, b=3)", numbers=True) == right(TWO)


@pytest.mark.parametrize("text", [f"{TWO}\nprint(s1)", f"{ONE}\nprint(add(a=1))", f"{ONE}\nprint(s7)"])
def test_showing_another_result_than_the_last_is_a_call_of_an_unknown_function(text: str) -> None:
    try:
        found = read(text, numbers=True)
    except PlanError:
        return
    assert found[-1].split(" = ")[1].startswith("print(")


BROKEN = [
    's1 search(query="x")',
    '= search(query="x")',
    's1 = (query="x")',
    '(query="x")',
    "s1 == add(a=1)",
    "s1 -> add(a=1)",
    's1: (query="x")',
    "s1, s2 = add(a=1)",
    "s1[0] = add(a=1)",
    "s1 = add(a=1",
    's1 = add(a="x)',
    "s1 = add(a=1))",
    "s1 = add(a=1) + 2",
    "s1 = add(a=1) b=2)",
    "s1 = add(a=1) s2 = add(a=2)",
    "s1 = 3",
    "s1 =",
    "s1",
    "s1 = tools.add(a=1)",
    "tools.add(a=1)",
    "for x in [1, 2]:",
    "if s1 > 2:",
    "while s1:",
    "def f(x):",
    "- s1 = add(a=1))",
    '1. s1 search(query="x")',
]


@pytest.mark.parametrize(
    "around", ["{}", f"{ONE.replace('s1', 'a')}\n{{}}", "Here it is:\n{}", "```python\n{}\n```"]
)
@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_statement_is_never_passed_over_as_prose(text: str, around: str) -> None:
    with pytest.raises(PlanError) as caught:
        read(around.format(text))
    assert caught.value.line == around.format("@").split("@")[0].count("\n") + 1
    assert text.removeprefix("- ").removeprefix("1. ") in caught.value.text


@pytest.mark.parametrize("last", ["s", "s2", "s2 ", "s2 =", "a", "ad", "2", "2.", "2. ad", "s2: ad"])
def test_a_last_line_that_was_cut_off_is_no_prose(last: str) -> None:
    with pytest.raises(PlanError):
        read(f"{ONE}\n{last}", numbers=True)


def test_a_call_that_only_a_sentence_makes_is_not_dropped_without_a_word() -> None:
    with pytest.raises(InvalidSyntax, match="s2 stands amid other text only") as caught:
        read(f"{ONE}\nAt last, s2 = add(a=s1, b=2).")
    assert (caught.value.line, caught.value.column) == (2, 10)


def test_lines_and_columns_are_those_of_the_text_that_the_model_wrote() -> None:
    with pytest.raises(PlanError) as caught:
        read("<think>\na\n</think>\nHere:\n- `s1 = add(a=zz)`")
    assert (caught.value.line, caught.value.column) == (5, 15)
    with pytest.raises(PlanError) as caught:
        read("<think>a</think>s1 = add(a=zz)")
    assert (caught.value.line, caught.value.column) == (1, 28)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<think>only this", "a thought that doesn't end"),
        (f"<think>\n{BOOM}", "a thought that doesn't end"),
        ("<think>only this</think>", "only thoughts"),
        ("add fits </think>\n", "only thoughts"),
        (f"<draft>\n{BOOM}\n</draft>", "only thoughts, as in <draft>"),
        ("", "the plan has no call"),
        ("```\n```", "the plan has no call"),
        ("I'm sorry, but I can't help with that.", "it says: I'm sorry, but I can't help with that."),
        ("<think>no</think>I can't help.", "I can't help."),
        (f"<|im_end|>\n{ONE}", "the plan has no call"),
    ],
)
def test_a_reply_without_a_plan_says_what_it_holds_instead(text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        read(text)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_what_a_user_hands_over_stays_strict() -> None:
    for text in (
        f"Here it is:\n{ONE}",
        f"<think>a</think>\n{ONE}",
        f"- {ONE}",
        f"{ONE}<|im_end|>",
        f"{ONE}\nprint(s1)",
    ):
        with pytest.raises(PlanError):
            parse(text)
    with pytest.raises(EmptyPlan):
        parse("")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<think>hm</think>3", "3"),
        ("It is 3.", "It is 3."),
        ("hm</think>\n\nIt is 3.</s>", "It is 3."),
        ("<think>It is 3.", ""),
        ("<s>old</s> new", "old</s> new"),
        ("It is 3.<|im_end|>\n<|im_start|>user\nand 4?", "It is 3."),
        ('The tag "</think>" ends a thought.', 'The tag "</think>" ends a thought.'),
        ("The tag `<think>` begins one.", "The tag `<think>` begins one."),
        (
            'Action: search(query="what does </think> mean?")',
            'Action: search(query="what does </think> mean?")',
        ),
        ("Action: write(text='''a\n</think>\nb''')", "Action: write(text='''a\n</think>\nb''')"),
        ("f(it's <think>a</think>) is 3", "f(it's ) is 3"),
        ("<details>\n<table>3</table>\n</details>", "<details>\n<table>3</table>\n</details>"),
        ("See [reasons](a) and [analysis] <!-- no -->", "See [reasons](a) and [analysis] <!-- no -->"),
        ("**Thinking:**\nHm.\n**Plan:**\nNone.", "**Thinking:**\nHm.\n**Plan:**\nNone."),
        ("<rationale>Hm.</rationale>\n3", "3"),
        ("```thinking\nHm.\n```\n3", "3"),
        ("a <b>bold</b> word [1] and 2 < 3", "a <b>bold</b> word [1] and 2 < 3"),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>3<|return|>",
            "3",
        ),
    ],
)
def test_a_whole_reply_is_told_without_its_thoughts(text: str, says: str) -> None:
    assert spoken(text).text == says


@pytest.mark.parametrize(
    "text",
    [
        *("<think>", "</think>", "</think>\n", "<think x", "<", "<a b", "# <", "[", "<|channel|>", '"<|x|>'),
        *("f('", "f(\n", "f(</think>", "s1 = f(", "x = f( ", "(", "'''", "`", "**", "- ", "1. ", "a: "),
        *("if (", "f(a: ", "s1 = a", '\\"', " ", "->", "s1 -> f(", "<|x|>f(", "\u25c1", "```", "\t"),
        *(
            "<a>",
            "<a>\n",
            "</a>",
            "<!--",
            "&lt;",
            "<think",
            "a-->",
            "```thinking\n",
            "[THOUGHT]\n",
            "<a></a>",
        ),
        *(
            "Thought:\n",
            "Thought:\nPlan:\n",
            "Query:\n",
            "a a thoughts ",
            "s1 = f() (a",
            "s1 = f() ->",
            "</think",
        ),
        *("```\n", "~~~python\n", "s1 = f()<|x|>", "- `s1 = f()`", "s1 = f()</think>\n"),
    ],
)
def test_any_reply_is_read_in_linear_time(text: str) -> None:
    def seconds(length: int) -> float:
        whole = text * (length // len(text))
        began = time.process_time()
        for line in (
            whole,
            f"Prose.\n{whole}",
            f"x {whole} !(",
            f"s1 = f(\n{whole}\n</think",
            f"s1 = add(a=1)\n{whole}",
        ):
            try:
                calls_in(line, FUNCTIONS)
            except PlanError as error:
                assert len(str(error)) < 2_000
            spoken(line)
            blanked(line)
        return time.process_time() - began

    short = min(seconds(2_000) for _ in range(2))
    assert seconds(16_000) < 24 * max(0.02, short)  # eight times as long; a garbage collection takes a while


@given(st.text(max_size=200) | st.text("s1=f(x)\"'`\n:$. <>/|think-*#~[]", max_size=80))
def test_any_reply_is_a_plan_or_a_plan_error(text: str) -> None:
    try:
        calls_in(text, FUNCTIONS)
    except PlanError as error:
        assert error.message
        assert error.line >= 1
    assert len(spoken(text).text) <= len(text)
    assert blanked(text).count("\n") == text.count("\n")


def test_a_turn_after_the_end_is_blank_once() -> None:
    text = "'\n<|end|>\nUser\n"
    assert blanked(text) == "'\n\n\n"


@pytest.mark.parametrize("reading", ["plan", "turn", "text"])
def test_a_reply_that_begins_with_the_end_of_a_thought_as_if_it_were_a_call_is_read_to_its_end(
    reading,
) -> None:
    assert blanked("assistantfinal()", reading) == " " * 14 + "()"
    assert blanked("assistantfinals1 = g()", reading) == " " * 14 + "s1 = g()"


def test_calls_before_a_thought_that_turns_out_to_end_in_the_last_line_are_none() -> None:
    (call,) = calls_in("1.e(i='')<!--</think>s1=f()\n", ["f"])
    assert call.function == "f"


def test_a_long_line_of_many_calls_is_refused_before_each_has_a_copy_of_it() -> None:
    line = "".join(f"s{number} = f()<think></think>" for number in range(3_500))
    with pytest.raises(PlanTooLarge, match="a long line has too many calls"):
        calls_in(line, ["f"])


def test_a_line_of_some_calls_amid_thoughts_is_read() -> None:
    calls = calls_in("s1 = f()<think>a</think>s2 = f(s1)<think>b</think>  s3 = f(s2)", ["f"])
    assert [call.position for call in calls] == [(1, 1), (1, 25), (1, 53)]


def test_what_is_thought_is_found_in_little_memory() -> None:
    text = "f() " * 20_000 + "</think>"
    tracemalloc.start()
    try:
        blanked(text, "text")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
