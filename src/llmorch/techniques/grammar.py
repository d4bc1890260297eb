"""GBNF grammars from the offered functions: what a model may write as a plan, a turn, or a repaired call.

Syntax, function names, argument names and literal types can't be wrong under it. Ids are
left free on purpose: held to earlier calls, a small model silently writes another id
instead of the one it forgot to define, while a free one is an error that repair sees.

A grammar has no "but not": a value that is none of some texts is spelled out, letter by
letter, as everything that leaves their common path or goes on past their ends.

GBNF is llama.cpp's notation: https://github.com/ggml-org/llama.cpp/tree/master/grammars
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.calls import FunctionCall
from llmorch.declare.defaults import NoLiteral, literal_default
from llmorch.declare.schema_text import literal_text
from llmorch.plan import render_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.calls import Expression
    from llmorch.declare.functions import Function
    from llmorch.declare.parameters import Parameter

MAX_CALLS = 40
"""Lines in a plan: a small model that loops must come to an end."""
MAX_EXCLUDED = 200
"""Characters by which a text that was tried differs from others."""
_UNIT = re.compile(r"\\u[0-9a-f]{4}|\\.|.", re.DOTALL)
_ESCAPES = ('"', "\\", "n", "t")

_REFERENCE = ("ref ::= id path{0,3}", r'path ::= "[" (string | integer) "]" | "." [a-z] [a-z0-9_]{0,30}')
_VALUES = r"""string ::= "\"" char* "\""
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

LINE = r"[^\x00-\x1F\x7F]{1,400}"
"""One line of free text, such as a thought."""
TEXT = r"[^\x00-\x09\x0B-\x1F\x7F]{1,1200}"
"""Free text of any lines, such as an answer."""


def plan_grammar(
    functions: Mapping[str, Function],
    *,
    ids: str = "s",
    first: int = 1,
    why: bool = False,
    earlier: Iterable[str] = (),
    short: bool = False,
) -> str:
    """The grammar of plans that call only ``functions``.

    ``ids`` is the letter before an id's number, ``first`` the lowest number, and ``why``
    has each call stand below a comment that says why. ``earlier`` are ids of calls that
    were made before, and may be of another form. In a ``short`` plan a call may stand
    without an id, and its first argument without a name.
    """
    # The newline stands between lines and may be left out at the end: a model that has
    # seen plans end without one is driven on for ever if it must write it.
    rules = [f'root ::= line ("\\n" line){{0,{MAX_CALLS - 1}}} "\\n"?']
    named = '(new " = ")?' if short else 'new " = "'
    rules.append(f"line ::= {'why ' if why else ''}{named} call")
    if why:
        rules.append(f'why ::= "# " {LINE} "\\n"')
    rules.append(f"new ::= {_new_id(ids, first)}")
    others = [id_ for id_ in earlier if not re.fullmatch(rf"{ids}[1-9][0-9]?", id_)]
    rules.append(f'id ::= "{ids}" [1-9] [0-9]?{"".join(f" | {chr(34)}{id_}{chr(34)}" for id_ in others)}')
    return "\n".join([*rules, *Rules(references=True, short=short).calls(functions)])


def unnamed(function: Function) -> Parameter | None:
    """The parameter whose name a short plan leaves out: the first, unless its argument may be left out itself."""
    first = function.parameters[0] if function.parameters else None
    return first if first is not None and first.required else None


def beginning_with(grammar: str, id_: str) -> str:
    """The grammar of what is left of a plan: its first call has this id."""
    return grammar.replace("root ::= line ", f'root ::= "{id_} = " call ', 1)


def step_grammar(functions: Mapping[str, Function]) -> str:
    """A thought, then one call or the answer; arguments are literals."""
    root = f'root ::= "Thought: " {LINE} "\\n" (action | answer)\naction ::= "Action: " call'
    return _in_a_turn(root, functions)


def batch_grammar(functions: Mapping[str, Function]) -> str:
    """Calls, one a line, or the answer; arguments are literals."""
    return _in_a_turn(f'root ::= call ("\\n" call){{0,{MAX_CALLS - 1}}} "\\n"? | answer', functions)


def _in_a_turn(root: str, functions: Mapping[str, Function]) -> str:
    return "\n".join([root, f'answer ::= "Answer: " {TEXT}', *Rules(references=False).calls(functions)])


def join_grammar(*, last: bool) -> str:
    """A thought, then the answer or, unless this is the last chance, what to plan again."""
    again = "" if last else f' | "Replan: " {LINE}'
    return f'root ::= "Thought: " {LINE} "\\n" ("Answer: " {TEXT}{again})'


def _new_id(letter: str, first: int) -> str:
    """Ids that may be defined; those below ``first`` are earlier calls'."""
    if first == 1:
        return f'"{letter}" [1-9] [0-9]?'
    return " | ".join(f'"{letter}{number}"' for number in range(first, first + MAX_CALLS))


class Rules:
    """The rules of calls, for a grammar's lines; with or without results of earlier calls in their arguments."""

    def __init__(self, *, references: bool, short: bool = False) -> None:
        self._or_ref = " | ref" if references else ""
        self._short = short

    def calls(self, functions: Mapping[str, Function]) -> list[str]:
        """One rule a function, the rule ``call``, and all that they use."""
        rules = [f"call ::= {' | '.join(f'call{at}' for at in range(len(functions)))}"]
        rules += [f"call{at} ::= {self.call(function)}" for at, function in enumerate(functions.values())]
        return [*rules, *(_REFERENCE if self._or_ref else ()), _VALUES.replace(" | ref", self._or_ref)]

    def call(self, function: Function, instead: Mapping[str, str] | None = None) -> str:
        """The shape of a function's calls; ``instead`` has other values for parameters, which then must be there."""
        instead = instead or {}
        required = [item for item in function.parameters if item.required or item.name in instead]
        optional = [item for item in function.parameters if item not in required]
        opening = f'"{function.name}("'
        if required:
            values = [self._argument(item, instead.get(item.name)) for item in required]
            if self._short and required[0] is unnamed(function):
                name, value = values[0].split(" ", 1)
                values[0] = f"{name}? {value}"
            arguments = ' ", " '.join(values)
            arguments += "".join(f' (", " {self._argument(item)})?' for item in optional)
            return f'{opening} {arguments} ")"'
        # Without a required argument any optional one may come first.
        starts = []
        for at, item in enumerate(optional):
            rest = "".join(f' (", " {self._argument(other)})?' for other in optional[at + 1 :])
            starts.append(f"{self._argument(item)}{rest}")
        return f'{opening} ({" | ".join(starts)})? ")"' if starts else f'{opening} ")"'

    def _argument(self, parameter: Parameter, value: str | None = None) -> str:
        schema = parameter.schema
        return f'"{parameter.name}=" ({value or self._value(schema, schema.get("$defs", {}), 0)})'

    def _value(self, schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> str:
        """The alternatives for one value: its literals, or a reference."""
        if "$ref" in schema:
            schema = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
        if depth > 4 or not schema:
            return "any"
        depth += 1
        if "const" in schema:
            return f"{literal(schema['const'])}{self._or_ref}"
        if "enum" in schema:
            return " | ".join(literal(item) for item in schema["enum"]) + self._or_ref
        if ways := schema.get("anyOf") or schema.get("oneOf"):
            return " | ".join(f"({self._value(item, definitions, depth)})" for item in ways)
        if "allOf" in schema and len(schema["allOf"]) == 1:
            return self._value(schema["allOf"][0], definitions, depth)
        match schema.get("type"):
            case "string":
                return f"string{self._or_ref}"
            case "integer":
                return "whole"
            case "number":
                return "expr"
            case "boolean":
                return f"boolean{self._or_ref}"
            case "null":
                return '"None"'
            case "array":
                if items := schema.get("prefixItems"):
                    inner = ' ", " '.join(f"({self._value(one, definitions, depth)})" for one in items)
                    return f'"[" {inner} "]"{self._or_ref}'
                item = self._value(schema.get("items", {}), definitions, depth)
                return f'"[" (({item}) (", " ({item}))*)? "]"{self._or_ref}'
            case "object":
                return self._object(schema, definitions, depth)
            case _:
                return "any"

    def _object(self, schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> str:
        properties = schema.get("properties", {})
        required = [name for name in properties if name in schema.get("required", ())]
        optional = [name for name in properties if name not in required]
        if not required:
            return f"dict{self._or_ref}"
        fields = [
            f'{literal(name)} ": " ({self._value(properties[name], definitions, depth)})' for name in required
        ]
        inner = ' ", " '.join(fields)
        for name in optional:
            inner += f' (", " {literal(name)} ": " ({self._value(properties[name], definitions, depth)}))?'
        return f'"{{" {inner} "}}"{self._or_ref}'


def literal(value: object) -> str:
    """A GBNF terminal for a Python literal as a plan has it."""
    return _terminal(literal_text(value))


def _terminal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def call_grammar(
    functions: Mapping[str, Function], id_: str, above: Sequence[str], tried: Sequence[FunctionCall] = ()
) -> str:
    """One call under this id, which may use the calls ``above``; none of those that were ``tried``.

    A function that was tried may be called again with another literal instead of one
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
        had = [_rendered(call.args[parameter.name]) for call in before if parameter.name in call.args]
        if not parameter.required:  # written out, the default is the same call again
            with suppress(NoLiteral):
                had.append(literal_text(literal_default(parameter.name, parameter.default)))
        if value := _but(parameter.schema, parameter.schema.get("$defs", {}), had):
            shapes.append(rules.call(function, {parameter.name: value}))
    return shapes


def _rendered(expression: Expression) -> str:
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
