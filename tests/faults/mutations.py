"""One mistake in a right plan, of the kinds that models make.

Decides what a mistake is and where it can be made; every choice is the caller's chance. It
must not ask whether a mistake would be found: only whether it changed what the plan says.
"""

from __future__ import annotations

import ast
import re
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel

from llmorch import PlanError, check, parse

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmorch import Function

TRIES = 30
_LETTERS = "abcdefghijklmnopqrstuvwxyz_"
_NUMBERED = re.compile(r"(\d+)[.] ")
_NUMBER = re.compile(r"\d+")
_IN_BRACES = re.compile(r"\{(\w+)((?:[.\[][^{}]*)?)\}")
_DOLLAR = re.compile(r"\$(\d+)")
_WRONG: Mapping[type, Sequence[str]] = {
    str: ("5", "2.5", "True", "None", '["a"]'),
    int: ('"five"', '"5"', "2.5", "True", "None", "[5]"),
    float: ('"high"', '"2.5"', "True", "None", "[2.5]"),
    bool: ('"yes"', "1", "None"),
    list: ("5", '"a"', "None"),
    dict: ("5", '"a"', "[5]"),
}


@dataclass(frozen=True)
class Mutant:
    """A text with one mistake in it."""

    text: str
    alone: bool = False
    """Whether it is a plan that somebody could have meant: nothing in it tells of the mistake."""


@dataclass(frozen=True)
class _Line:
    """One call of a right plan, which stands on a line of its own."""

    start: int
    text: str
    id: str
    call: ast.Call
    code: str
    """The call as Python reads it, in as many characters as at the end of ``text``."""

    @classmethod
    def of(cls, text: str, start: int) -> _Line:
        if numbered := _NUMBERED.match(text):
            code = _DOLLAR.sub(r"s\1", text[numbered.end() :])
            return cls(start, text, f"s{numbered[1]}", _call(ast.parse(code).body[0]), code)
        statement = ast.parse(text).body[0]
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target  # type: ignore[attr-defined]
        return cls(start, text, target.id, _call(statement), text)

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def span(self, node: Any) -> tuple[int, int]:
        """Where a node stands in the plan."""
        code, first = self.code.encode(), self.end - len(self.code)
        ends = (len(code[:column].decode()) for column in (node.col_offset, node.end_col_offset))
        return tuple(first + at for at in ends)  # type: ignore[return-value]

    @property
    def arguments(self) -> list[ast.expr | ast.keyword]:
        return [*self.call.args, *self.call.keywords]


@dataclass(frozen=True)
class _Used:
    """One place where a line uses a result."""

    line: _Line
    span: tuple[int, int]
    id: str
    node: ast.expr


def _call(statement: Any) -> ast.Call:
    found = statement.annotation if isinstance(statement, ast.AnnAssign) else statement.value
    assert isinstance(found, ast.Call)
    return found


class _Mutating:
    """A right plan's lines and places, to make mistakes in."""

    def __init__(self, text: str, functions: Mapping[str, Function], chance: random.Random) -> None:
        self.text = text
        self.functions = functions
        self.chance = chance
        self.lines: list[_Line] = []
        start = 0
        for line in text.split("\n"):
            if line.strip():
                self.lines.append(_Line.of(line, start))
            start += len(line) + 1
        self.ids = [line.id for line in self.lines]
        self.used = [used for line in self.lines for used in self._uses(line)]

    def replaced(self, span: tuple[int, int], by: str) -> str:
        return self.text[: span[0]] + by + self.text[span[1] :]

    def _uses(self, line: _Line) -> Iterator[_Used]:
        for node in (node for argument in line.arguments for node in ast.walk(argument)):
            if isinstance(node, ast.Name) and node.id in self.ids:
                yield _Used(line, line.span(node), node.id, node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                start, end = line.span(node)
                quoted = self.text[start:end]
                for found in _IN_BRACES.finditer(quoted):
                    if found[1] in self.ids:
                        yield _Used(line, (start + found.start(), start + found.end()), found[1], node)
                for found in _DOLLAR.finditer(quoted) if line.code != line.text else ():
                    if f"s{found[1]}" in self.ids:
                        yield _Used(line, (start + found.start(), start + found.end()), f"s{found[1]}", node)

    def dropped_line(self) -> Mutant | None:
        users = {used.id for used in self.used}
        found = [line for line in self.lines if line.id in users]
        if not found:
            return None
        line = self.chance.choice(found)
        return Mutant(self.replaced((line.start, line.end + 1), ""))

    def dropped_reference(self) -> Mutant | None:
        if not self.used:
            return None
        used = self.chance.choice(self.used)
        if self.chance.random() < 0.5:
            return self._removed(used)
        token = self.text[slice(*used.span)]
        garbled = token
        while token in garbled:  # what is only put before or after it leaves it as it is
            garbled = _misspelt(token, self.chance, _LETTERS + "0123456789{}$")
        defined = self.ids[: self.ids.index(used.line.id)]
        if used.node.__class__ is ast.Name or token.startswith("$"):
            meant = garbled.lstrip("$") if token.startswith("$") else garbled
            alone = f"s{meant}" in defined or meant in defined or bool(_NUMBER.fullmatch(meant))
        else:
            found = _IN_BRACES.fullmatch(garbled)
            alone = found is not None and found[1] in defined
        return Mutant(self.replaced(used.span, garbled), alone)

    def _removed(self, used: _Used) -> Mutant | None:
        if isinstance(used.node, ast.Constant):
            return Mutant(self.replaced(used.span, ""), alone=True)
        for node in ast.walk(used.line.call):
            if isinstance(node, ast.List) and used.node in node.elts:
                kept = [item for item in node.elts if item is not used.node]
                return Mutant(
                    self.replaced(used.line.span(node), f"[{self._joined(used.line, kept)}]"), alone=True
                )
        arguments = used.line.arguments
        kept_arguments = [item for item in arguments if getattr(item, "value", item) is not used.node]
        if len(kept_arguments) == len(arguments):
            return None  # amid an expression, of which nothing would be left
        name = used.line.call.func
        assert isinstance(name, ast.Name)
        first = used.line.span(name)[0]
        rest = f"{name.id}({self._joined(used.line, kept_arguments)})"
        given = {getattr(item, "arg", None) for item in kept_arguments}
        missing = set(self.functions[name.id].required) - given
        return Mutant(
            self.replaced((first, used.line.end), rest),
            alone=not missing and len(given) == len(kept_arguments),
        )

    def _joined(self, line: _Line, nodes: Sequence[Any]) -> str:
        return ", ".join(self.text[slice(*line.span(node))] for node in nodes)

    def function(self) -> Mutant:
        line = self.chance.choice(self.lines)
        name = line.call.func
        return Mutant(self.replaced(line.span(name), self._other(ast.unparse(name), self.functions)))

    def argument(self) -> Mutant | None:
        found = [(line, keyword) for line in self.lines for keyword in line.call.keywords]
        if not found:
            return None
        line, keyword = self.chance.choice(found)
        assert keyword.arg is not None
        start = line.span(keyword)[0]
        known = self.functions[ast.unparse(line.call.func)].by_name
        return Mutant(self.replaced((start, start + len(keyword.arg)), self._other(keyword.arg, known)))

    def _other(self, name: str, known: Mapping[str, Any]) -> str:
        while True:
            other = _misspelt(name, self.chance, _LETTERS)
            if other not in known and other.isidentifier():
                return other

    def type(self) -> Mutant | None:
        found: list[tuple[tuple[int, int], str]] = []
        for line in self.lines:
            function = self.functions[ast.unparse(line.call.func)]
            for index, value in enumerate(line.call.args):
                found += self._wrong(line, value, function.parameters[index].annotation)
            for keyword in line.call.keywords:
                found += self._wrong(line, keyword.value, function.by_name[str(keyword.arg)].annotation)
        if not found:
            return None
        return Mutant(self.replaced(*self.chance.choice(found)))

    def _wrong(self, line: _Line, node: Any, annotation: Any) -> Iterator[tuple[tuple[int, int], str]]:
        """Each literal in an argument, with another that its type rules out."""
        origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is Annotated:
            yield from self._wrong(line, node, inner[0])
        elif origin in (typing.Union, types.UnionType):
            kinds = [kind for kind in inner if kind is not type(None)]
            for kind in kinds if len(kinds) == 1 else ():
                yield from (wrong for wrong in self._wrong(line, node, kind) if wrong[1] != "None")
        elif origin is Literal:
            if isinstance(node, ast.Constant):
                yield line.span(node), self.chance.choice(('"neither"', "7", "None"))
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            kinds_by_name = typing.get_type_hints(annotation)
            yield from self._in_dict(line, node, lambda key: kinds_by_name[key])
        elif (origin or annotation) in _WRONG:
            kind = origin or annotation
            if not any(used.node is part for used in self.used for part in ast.walk(node)):
                is_literal = isinstance(node, ast.Constant | ast.List | ast.Dict)
                if is_literal and isinstance(ast.literal_eval(node), (kind, int) if kind is float else kind):
                    yield line.span(node), self.chance.choice(_WRONG[kind])
            if kind is list and isinstance(node, ast.List) and inner:
                for item in node.elts:
                    yield from self._wrong(line, item, inner[0])
            elif kind is dict and inner:
                yield from self._in_dict(line, node, lambda _: inner[1])

    def _in_dict(
        self, line: _Line, node: Any, kind_of: Callable[[str], Any]
    ) -> Iterator[tuple[tuple[int, int], str]]:
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield from self._wrong(line, value, kind_of(str(key.value)))

    def order(self) -> Mutant | None:
        if not self.used:
            return None
        used = self.chance.choice(self.used)
        first = self.lines[self.ids.index(used.id)]
        between = self.text[first.end : used.line.start]
        return Mutant(self.replaced((first.start, used.line.end), used.line.text + between + first.text))

    def cut(self) -> Mutant:
        at = self.chance.randrange(1, len(self.text.rstrip()))
        ends = {index for line in self.lines for index in (line.end, line.end + 1)}
        return Mutant(self.text[:at], alone=at in ends)


_MAKE: Mapping[str, Callable[[_Mutating], Mutant | None]] = {
    "dropped-line": _Mutating.dropped_line,
    "dropped-reference": _Mutating.dropped_reference,
    "function": _Mutating.function,
    "argument": _Mutating.argument,
    "type": _Mutating.type,
    "order": _Mutating.order,
    "cut": _Mutating.cut,
}
KINDS = tuple(_MAKE)


def mutated(text: str, functions: Mapping[str, Function], kind: str, chance: random.Random) -> Mutant | None:
    """A right plan with one mistake of a kind; ``None`` if it has no place for one.

    What comes back never says the same as the plan did.
    """
    right = check(parse(text), functions)
    mutating = _Mutating(text, functions, chance)
    for _ in range(TRIES):
        mutant = _MAKE[kind](mutating)
        if mutant is None and kind != "dropped-reference":
            return None
        try:
            same = mutant is None or check(parse(mutant.text), functions) == right
        except PlanError:
            same = False
        if not same:
            return mutant
    return None


def _misspelt(word: str, chance: random.Random, letters: str) -> str:
    """One letter too many or too few, another one, or two in the wrong order."""
    at = chance.randrange(len(word))
    match chance.randrange(4):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + chance.choice(letters) + word[at:]
        case 2:
            return word[:at] + chance.choice(letters) + word[at + 1 :]
        case _:
            return word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
