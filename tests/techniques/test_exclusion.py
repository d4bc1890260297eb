"""A repaired call is any call but those that were tried."""

from __future__ import annotations

import json
import re
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch import function
from llmorch.declare.offered import as_functions
from llmorch.plan import check, parse
from llmorch.techniques.grammar import call_grammar


@function(pure=True)
def search(query: str, k: int = 500) -> str: ...


@function(pure=True)
def draw(style: Literal["line", "dot"]) -> str: ...


@function(pure=True)
def now() -> str: ...


@function(pure=True)
def ratio(values: list[float]) -> float: ...


FUNCTIONS = as_functions([search, draw, now, ratio])
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\[(?:[^\]\\]|\\.)*\])|([a-z][a-z0-9]*)|([(){},|*?+0-9]+)|\s+')
_CHARACTER = r'(?:[^"\\\x00-\x1F\x7F]|\\["\\nt])'


def pattern(rules: dict[str, str], body: str) -> str:
    """A rule without recursion as a regular expression."""
    made, at = [], 0
    while at < len(body):
        found = _TOKEN.match(body, at)
        assert found, body[at : at + 30]
        at = found.end()
        text, characters, name, mark = found.groups()
        if text is not None:
            made.append(re.escape(re.sub(r"\\(.)", lambda it: {"n": "\n"}.get(it[1], it[1]), text)))
        elif characters:
            made.append(characters)
        elif name:
            made.append(_CHARACTER if name == "char" else f"(?:{pattern(rules, rules[name])})")
        elif mark:
            made.append(mark.replace("(", "(?:"))
    return "".join(made)


def allows(tried: list[str], text: str, functions=FUNCTIONS) -> bool:
    """Whether the grammar for another ``s1`` takes a call whose arguments are strings and integers."""
    calls = [check(parse(f"s1 = {call}"), functions)["s1"] for call in tried]
    rules = dict(
        line.split(" ::= ", 1) for line in call_grammar(functions, "s1", ["s0"], calls).split("\n") if line
    )
    rules |= {"ref": '"ref"', "whole": "[0-9]{1,9}", "any": '"any"', "list": '"list"', "expr": "[0-9]{1,9}"}
    return re.fullmatch(pattern(rules, rules["root"]), f"s1 = {text}") is not None


def written(text: str) -> str:
    return f"search(query={json.dumps(text, ensure_ascii=False)})"


# What the grammar's strings can hold at all.
texts = st.text(st.sampled_from('ab "\\\n\té]^-}'), max_size=6)


@given(tried=st.lists(texts, min_size=1, max_size=3), other=texts)
def test_any_text_is_allowed_but_those_that_were_tried(tried, other) -> None:
    calls = [written(text) for text in tried]
    assert allows(calls, written(other)) == (other not in tried)


@given(tried=st.lists(st.integers(-130, 130), min_size=1, max_size=3), other=st.integers(-1300, 1300))
def test_any_integer_is_allowed_but_those_that_were_tried(tried, other) -> None:
    calls = [f'search(query="a", k={number})' for number in tried]
    # The default, written out, is no other call than one without it.
    assert allows(calls, f'search(query="a", k={other})') == (other not in (*tried, 500))


def test_what_was_tried_may_come_again_with_another_argument_only() -> None:
    assert not allows(['search(query="a")'], 'search(query="a")')
    assert not allows(['search(query="a")'], 'search(query="a", k=500)')
    assert allows(['search(query="a")'], 'search(query="a", k=1000)')
    assert allows(['search(query="a")'], 'search(query="b")')
    assert allows(['search(query="a")'], "now()")


def test_other_literals_of_a_choice_are_left() -> None:
    assert allows(['draw(style="line")'], 'draw(style="dot")')
    assert not allows(['draw(style="line")'], 'draw(style="line")')


def test_a_call_without_another_way_to_be_made_is_forbidden_unless_nothing_else_is_left() -> None:
    assert not allows(["now()"], "now()")
    assert allows(["now()"], 'search(query="a")')
    assert allows(["now()"], "now()", as_functions([now]))


def test_a_long_text_makes_no_endless_grammar() -> None:
    calls = [check(parse(f's1 = search(query="{"long " * 4000}")'), FUNCTIONS)["s1"]]
    assert len(call_grammar(FUNCTIONS, "s1", ["s0"], calls)) < 30_000


@function(pure=True)
def fetch(
    url: str, timeout: float = 1.0, raw: bool = False, k: int | None = None, mode: Literal["fast"] = "fast"
) -> str: ...


@pytest.mark.parametrize(
    ("other", "allowed"),
    [
        ('fetch(url="u", timeout=30.0)', True),
        ('fetch(url="u", timeout=1)', False),
        ('fetch(url="u", raw=True)', True),
        ('fetch(url="u", raw=False)', False),
        ('fetch(url="u", k=5)', True),
        ('fetch(url="u", k=None)', False),
        ('fetch(url="v")', True),
        ('fetch(url="u", mode="fast")', False),
    ],
)
def test_any_parameter_can_make_the_difference(other, allowed) -> None:
    assert allows(['fetch(url="u")'], other, as_functions([fetch])) == allowed


def test_a_text_with_results_is_told_from_others_as_it_is_written() -> None:
    calls = [check(parse('s0 = now()\ns1 = search(query="x {s0}")'), FUNCTIONS)["s1"]]
    rules = dict(
        line.split(" ::= ", 1) for line in call_grammar(FUNCTIONS, "s1", ["s0"], calls).split("\n") if line
    )
    rules |= {"ref": '"ref"', "whole": "[0-9]{1,9}", "any": '"any"', "list": '"list"', "expr": "[0-9]{1,9}"}
    root = pattern(rules, rules["root"])
    assert re.fullmatch(root, 's1 = search(query="y {s0}")')
    assert not re.fullmatch(root, 's1 = search(query="x {s0}")')


def test_only_calls_above_can_be_used() -> None:
    grammar = call_grammar(FUNCTIONS, "E3", ["E1", "E2"])
    assert 'id ::= "E1" | "E2"' in grammar.split("\n")
    assert "ref" not in call_grammar(FUNCTIONS, "s1", [])
