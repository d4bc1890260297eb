"""GBNF for a repaired call: one call under a given id, and none of those that were tried.

A grammar has no "but not": a value that is none of some texts is spelled out, letter by
letter, as everything that leaves their common path or goes on past their ends.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from llmorch.calls import Constant
from llmorch.techniques.grammar import Rules, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.calls import FunctionCall
    from llmorch.functions import Function
    from llmorch.parameters import Parameter

MAX_EXCLUDED = 200
"""Characters by which a text that was tried is told from others."""
_UNIT = re.compile(r"\\u[0-9a-f]{4}|\\.|.", re.DOTALL)
_ESCAPES = ('"', "\\", "n", "t")


def call_grammar(functions: Mapping[str, Function], id_: str, tried: Sequence[FunctionCall] = ()) -> str:
    """One call under this id; none of those that were ``tried``.

    A function that was tried may be called again with another literal in the place of one
    that it had each time; where it had none, it may not be called again, unless nothing
    else can be.
    """
    rules = Rules(references=True)
    lines = [f'root ::= "{id_} = " call "\\n"?', 'id ::= "s" [1-9] [0-9]?']
    made = rules.calls(functions)
    shapes = [shape for function in functions.values() for shape in _others(rules, function, tried)]
    if shapes:
        made[0] = f"call ::= {' | '.join(f'other{at}' for at in range(len(shapes)))}"
        lines += [f"other{at} ::= {shape}" for at, shape in enumerate(shapes)]
    return "\n".join([*lines, *made])


def _others(rules: Rules, function: Function, tried: Sequence[FunctionCall]) -> list[str]:
    """The shapes of a function's calls that differ from all that were tried."""
    before = [call for call in tried if call.function == function.name]
    if not before:
        return [rules.call(function)]
    shapes = []
    for parameter in function.parameters:
        given = [call.args[parameter.name] for call in before if parameter.name in call.args]
        if all(isinstance(item, Constant) for item in given) and (
            value := _but(parameter, [item.value for item in given if isinstance(item, Constant)])
        ):
            shapes.append(rules.call(function, {parameter.name: value}))
    return shapes


def _but(parameter: Parameter, had: Sequence[object]) -> str:
    """A literal for a parameter that is none of these; empty where that can't be said."""
    schema = parameter.schema
    if not parameter.required and parameter.default not in had:
        had = [*had, parameter.default]  # written out, the default is the same call again
    if "enum" in schema:
        return " | ".join(literal(item) for item in schema["enum"] if item not in had)
    match schema.get("type"):
        case "string":
            texts = [json.dumps(item, ensure_ascii=False)[1:-1] for item in had if isinstance(item, str)]
            return f'"\\"" ({_text_but([_UNIT.findall(text[:MAX_EXCLUDED]) for text in texts])})'
        case "integer":
            return _digits_but([str(item) for item in had if type(item) is int and item > 0], first=True)
        case _:
            return ""


def _text_but(texts: Sequence[Sequence[str]]) -> str:
    """The rest of a quoted text that is none of these rests."""
    heads = list(dict.fromkeys(text[0] for text in texts if text))
    plain = "".join(_in_class(head) for head in heads if len(head) == 1)
    escapes = "".join(_in_class(item) for item in _ESCAPES if f"\\{item}" not in heads)
    ways = [rf'[^"\\\x00-\x1F\x7F{plain}] char* "\""']
    if escapes:
        ways.append(rf'"\\" [{escapes}] char* "\""')
    if all(texts):  # none of them ends here
        ways.append(r'"\""')
    for head in heads:
        rest = _text_but([text[1:] for text in texts if text[:1] == [head]])
        ways.append(f"{_terminal(head)} ({rest})")
    return " | ".join(ways)


def _digits_but(numbers: Sequence[str], *, first: bool) -> str:
    """The rest of a positive integer that is none of these rests."""
    heads = sorted({number[0] for number in numbers if number})
    digits = "".join(digit for digit in ("123456789" if first else "0123456789") if digit not in heads)
    ways = [f"[{digits}] [0-9]{{0,9}}"] if digits else []
    for head in heads:
        rest = _digits_but([number[1:] for number in numbers if number[:1] == head], first=False)
        ways.append(f'"{head}" ({rest})')
    if not first and all(numbers):
        ways.append('""')
    return " | ".join(ways)


def _in_class(character: str) -> str:
    return f"\\{character}" if character in '\\]^-"' else character


def _terminal(unit: str) -> str:
    escaped = unit.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
