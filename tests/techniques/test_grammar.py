"""The grammar says what a plan may be: everything it allows is read, and types hold."""

from __future__ import annotations

import random
import re
from typing import Literal

import pytest
from pydantic import BaseModel

from llmorch import function
from llmorch.calls import Plan
from llmorch.declare.offered import as_functions, self_function
from llmorch.errors import InvalidSyntax, UndefinedId
from llmorch.plan import Parser, check
from llmorch.techniques.grammar import plan_grammar


class Point(BaseModel):
    x: int
    label: str = ""


@function(pure=True)
def search(query: str, k: int = 500) -> str: ...


@function(kind="compute", pure=True)
def draw_it(
    style: Literal["line", "dot"], points: list[Point], width: float = 1.0, closed: bool = False
) -> str: ...


@function(pure=True)
def now(zone: str = "UTC", short: bool = False) -> str: ...


@function(pure=True)
def nothing() -> int: ...


FUNCTIONS = as_functions([search, draw_it, now, nothing]) | {"self": self_function("inout")}


class Sampler:
    """Random texts of a GBNF grammar: the notation's part that ours uses."""

    def __init__(self, grammar: str, seed: int) -> None:
        self._rules = {}
        for line in grammar.strip().split("\n"):
            if line:
                name, body = line.split(" ::= ", 1)
                self._rules[name] = body
        self._random = random.Random(seed)
        self._size = 0

    def text(self) -> str:
        return self._rule("root", 0)

    def _rule(self, name: str, depth: int) -> str:
        tokens = re.findall(
            r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[A-Za-z][\w-]*|\{\d+,\d+\}|[()|?*+]', self._rules[name]
        )
        made, rest = self._alternatives(tokens, depth)
        assert not rest
        return made

    def _alternatives(self, tokens: list[str], depth: int) -> tuple[str, list[str]]:
        options, current, rest = [[]], None, tokens
        level = 0
        while rest:
            token, rest = rest[0], rest[1:]
            if level == 0 and token == ")":
                break
            level += (token == "(") - (token == ")")
            if level == 0 and token == "|":
                options.append([])
            else:
                options[-1].append(token)
        # Deep inside, the first alternative: ours all end there.
        current = options[0] if depth > 12 else self._random.choice(options)
        return self._sequence(current, depth), rest

    def _sequence(self, tokens: list[str], depth: int) -> str:
        made = ""
        while tokens:
            token, tokens = tokens[0], tokens[1:]
            group: list[str] = []
            if token == "(":
                level = 1
                while level:
                    level += (tokens[0] == "(") - (tokens[0] == ")")
                    group.append(tokens[0])
                    tokens = tokens[1:]
            low, high = 1, 1
            if tokens and (tokens[0] in "?*+" or tokens[0].startswith("{")):
                mark, tokens = tokens[0], tokens[1:]
                low, high = {"?": (0, 1), "*": (0, 3), "+": (1, 3)}.get(mark) or tuple(
                    map(int, mark[1:-1].split(","))
                )
            for _ in range(low if depth > 10 else self._random.randint(low, min(high, low + 3))):
                made += self._alternatives(group, depth + 1)[0] if group else self._one(token, depth + 1)
        return made

    def _one(self, token: str, depth: int) -> str:
        if token.startswith('"'):
            return token[1:-1].replace('\\"', '"').replace("\\\\", "\\").replace("\\n", "\n")
        if token.startswith("["):
            inner = token[1:-1]
            if inner.startswith("^"):
                return self._random.choice("ab {}'é,()")
            if inner.startswith("a-z"):
                return "a"
            if "-" in inner:
                return self._random.choice(inner[0] + inner[2])
            return self._random.choice(["\\\\", '\\"', "\\n", "\\t"])[0:2][-1]
        return self._rule(token, depth)


@pytest.mark.parametrize("short", [False, True])
def test_what_the_grammar_allows_is_read_and_its_types_are_right(short) -> None:
    grammar = plan_grammar(FUNCTIONS, short=short)
    read = 0
    for seed in range(400):
        # Not s1, which is what the first line is called where it may stand without an id.
        text = re.sub(r"\bs([1-9][0-9]?)\b", r"x\1", Sampler(grammar, seed).text())
        # Ids are free in the grammar; here every id that is used is defined above.
        ids = sorted(set(re.findall(r"\bx[1-9][0-9]?\b", text)))
        lines = text.rstrip("\n").split("\n")
        defined = "".join(f"{id_} = nothing()\n" for id_ in ids)
        renamed = [re.sub(r"^x\d+ = ", f"last{number} = ", line) for number, line in enumerate(lines)]
        parser = Parser(numbers=short)
        try:
            calls = parser.feed(defined + "\n".join(renamed)) + parser.finish()
            check(Plan(tuple(calls)), FUNCTIONS)
        except UndefinedId:
            continue  # an id inside an escape that we don't see from outside
        except InvalidSyntax as error:
            assert error.message.startswith("key repeated")  # a grammar can't say that keys differ
            continue
        read += 1
    assert read > 380


def test_a_plan_may_end_without_a_newline() -> None:
    first = plan_grammar(FUNCTIONS).split("\n")[0]
    assert first == 'root ::= line ("\\n" line){0,39} "\\n"?'
