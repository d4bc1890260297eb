"""GBNF for a repaired call: one call under a given id, and none of those that were tried.

A grammar has no "but not": a value that is none of some texts is spelled out, letter by
letter, as everything that leaves their common path or goes on past their ends.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.calls import FunctionCall
from llmorch.declare.defaults import NoLiteral, literal_default
from llmorch.declare.schema_text import literal_text
from llmorch.plan import render_call
from llmorch.techniques.grammar import Rules, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.calls import Expression
    from llmorch.declare.functions import Function

MAX_EXCLUDED = 200
"""Characters by which a text that was tried is told from others."""
_UNIT = re.compile(r"\\u[0-9a-f]{4}|\\.|.", re.DOTALL)
_ESCAPES = ('"', "\\", "n", "t")


def call_grammar(
    functions: Mapping[str, Function], id_: str, above: Sequence[str], tried: Sequence[FunctionCall] = ()
) -> str:
    """One call under this id, which may use the calls ``above``; none of those that were ``tried``.

    A function that was tried may be called again with another literal in the place of one
    that it had each time; where it had none, it may not be called again, unless nothing
    else can be.
    """
    rules = Rules(references=bool(above))
    lines = [f'root ::= "{id_} = " call "\\n"?']
    if above:
        lines.append(f"id ::= {' | '.join(_terminal(id_) for id_ in above)}")
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
        had = [_written(call.args[parameter.name]) for call in before if parameter.name in call.args]
        if not parameter.required:  # written out, the default is the same call again
            with suppress(NoLiteral):
                had.append(literal_text(literal_default(parameter.name, parameter.default)))
        if value := _but(parameter.schema, parameter.schema.get("$defs", {}), had):
            shapes.append(rules.call(function, {parameter.name: value}))
    return shapes


def _written(expression: Expression) -> str:
    """An argument as a plan has it."""
    return render_call(FunctionCall("s1", "f", {"x": expression})).split("x=", 1)[1].removesuffix(")")


def _but(schema: Mapping[str, Any], definitions: Mapping[str, Any], had: Sequence[str]) -> str:
    """A literal that is written like none of these; empty where that can't be said."""
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
    if "const" in schema or "enum" in schema:
        choice = schema.get("enum", [schema.get("const")])
        return " | ".join(literal(item) for item in choice if literal_text(item) not in had)
    if "anyOf" in schema or "oneOf" in schema:
        ways = [_but(one, definitions, had) for one in schema.get("anyOf") or schema["oneOf"]]
        return " | ".join(f"({way})" for way in ways if way)
    match schema.get("type"):
        case "string":
            texts = [text[1:-1] for text in had if text[:1] == '"' and text[-1:] == '"']
            rest = _text_but([_path(text) for text in texts])
            return f'"\\"" ({rest})' if rest else ""
        case "integer" | "number" as kind:
            # Of a number, another integer part is enough; 1.0 is no other number than 1.
            whole = [text.partition(".")[0] for text in had]
            integer = _integer_but(whole)
            return f'({integer}) ("." [0-9]{{1,6}})?' if kind == "number" else integer
        case "boolean":
            return " | ".join(f'"{word}"' for word in ("True", "False") if word not in had)
        case "null":
            return "" if "None" in had else '"None"'
        case _:
            return ""


_ANYTHING = ""
"""Stands at the end of a text that was cut: whatever goes on from there counts as the same."""


def _path(text: str) -> list[str]:
    """The characters of an escaped text; an escape is one."""
    units = _UNIT.findall(text)
    return units if len(units) <= MAX_EXCLUDED else [*units[:MAX_EXCLUDED], _ANYTHING]


def _text_but(texts: Sequence[Sequence[str]]) -> str:
    """The rest of a quoted text that is none of these rests; empty if there is none."""
    if any(text[:1] == [_ANYTHING] for text in texts):
        return ""
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
        if rest:
            ways.append(f"{_terminal(head)} ({rest})")
    return " | ".join(ways)


def _integer_but(had: Sequence[str]) -> str:
    """An integer that is none of these; a text among them that is no integer counts for nothing."""

    def digits(texts: Sequence[str]) -> str:
        return _digits_but([text for text in texts if text.isdecimal() and text[0] != "0"], first=True)

    negative = digits([text[1:] for text in had if text[:1] == "-"])
    ways = [digits(had), f'"-" ({negative})', *(['"0"'] if "0" not in had else [])]
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
    # As numbers: what may be escaped in a class differs from parser to parser.
    return f"\\x{ord(character):02X}" if character in '\\]^-"' else character


def _terminal(unit: str) -> str:
    escaped = unit.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
