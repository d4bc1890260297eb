"""A GBNF grammar from the offered functions: what a model may write as a plan.

Syntax, function names, argument names and literal types can't be wrong under it. Ids are
left free on purpose: held to earlier calls, a small model silently writes another id
instead of the one it forgot to define, while a free one is an error that repair sees.

GBNF is llama.cpp's notation: https://github.com/ggml-org/llama.cpp/tree/master/grammars
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.functions import Function, Parameter

MAX_CALLS = 40
"""Lines in a plan: a small model that loops must come to an end."""

_SHARED = r"""
id ::= "s" [1-9] [0-9]?
ref ::= id path{0,3}
path ::= "[" (string | integer) "]" | "." [a-z] [a-z0-9_]{0,30}
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F\x7F] | "\\" ["\\nt]
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
number ::= integer ("." [0-9]{1,15})?
boolean ::= "True" | "False"
expr ::= term (operator term){0,6}
term ::= number | ref | "(" expr ")" | builtin "(" any ")"
whole ::= unit (operator unit){0,6}
unit ::= integer | ref | "(" whole ")" | builtin "(" any ")"
operator ::= " + " | " - " | " * " | " / "
builtin ::= "min" | "max" | "round" | "abs" | "len" | "sum" | "float" | "int"
list ::= "[" (any (", " any)*)? "]"
dict ::= "{" (string ": " any (", " string ": " any)*)? "}"
any ::= string | expr | boolean | "None" | list | dict
"""


def plan_grammar(functions: Mapping[str, Function]) -> str:
    """The grammar of plans that call only ``functions``."""
    # The newline stands between lines and may be left out at the end: a model that has
    # seen plans end without one is driven on for ever if it must write it.
    rules = [f'root ::= line ("\\n" line){{0,{MAX_CALLS - 1}}} "\\n"?', 'line ::= id " = " call']
    rules.append(f"call ::= {' | '.join(f'call{at}' for at in range(len(functions)))}")
    rules += [f"call{at} ::= {_call(function)}" for at, function in enumerate(functions.values())]
    return "\n".join(rules) + _SHARED


def _call(function: Function) -> str:
    required = [item for item in function.parameters if item.required]
    optional = [item for item in function.parameters if not item.required]
    opening = f'"{function.name}("'
    if required:
        arguments = ' ", " '.join(_argument(item) for item in required)
        arguments += "".join(f' (", " {_argument(item)})?' for item in optional)
        return f'{opening} {arguments} ")"'
    # Without a required argument any optional one may come first.
    starts = []
    for at, item in enumerate(optional):
        rest = "".join(f' (", " {_argument(other)})?' for other in optional[at + 1 :])
        starts.append(f"{_argument(item)}{rest}")
    return f'{opening} ({" | ".join(starts)})? ")"' if starts else f'{opening} ")"'


def _argument(parameter: Parameter) -> str:
    schema = parameter.schema
    return f'"{parameter.name}=" ({_value(schema, schema.get("$defs", {}), 0)})'


def _value(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> str:
    """The alternatives for one value: its literals, or a reference."""
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
    if depth > 4 or not schema:
        return "any"
    depth += 1
    if "const" in schema:
        return f"{_literal(schema['const'])} | ref"
    if "enum" in schema:
        return " | ".join([*(_literal(item) for item in schema["enum"]), "ref"])
    if "anyOf" in schema:
        return " | ".join(f"({_value(item, definitions, depth)})" for item in schema["anyOf"])
    match schema.get("type"):
        case "string":
            return "string | ref"
        case "integer":
            return "whole"
        case "number":
            return "expr"
        case "boolean":
            return "boolean | ref"
        case "null":
            return '"None"'
        case "array":
            item = _value(schema.get("items", {}), definitions, depth)
            return f'"[" (({item}) (", " ({item}))*)? "]" | ref'
        case "object":
            return _object(schema, definitions, depth)
        case _:
            return "any"


def _object(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> str:
    properties = schema.get("properties", {})
    if not properties:
        return "dict | ref"
    required = [name for name in properties if name in schema.get("required", ())]
    optional = [name for name in properties if name not in required]
    if not required:
        return "dict | ref"
    shown = [f'{_literal(name)} ": " ({_value(properties[name], definitions, depth)})' for name in required]
    inner = ' ", " '.join(shown)
    for name in optional:
        inner += f' (", " {_literal(name)} ": " ({_value(properties[name], definitions, depth)}))?'
    return f'"{{" {inner} "}}" | ref'


def _literal(value: object) -> str:
    """A GBNF terminal for a Python literal as a plan has it."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
