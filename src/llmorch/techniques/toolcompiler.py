"""LLM-Tool Compiler (arXiv 2405.17438): similar functions become one before the model sees them.

The model calls the fused function once, with a list of operations; they are taken apart
and run together. Which functions are similar follows from what they do (the words of
their descriptions), what they take, and what they return.
"""

from __future__ import annotations

import keyword
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from llmorch.calls import Constant, DictOf, FunctionCall, ListOf
from llmorch.declare.parameters import Parameter
from llmorch.errors import InvalidArgument, PlanError
from llmorch.plan import error_in, from_json
from llmorch.plan.literals import MAX_TEXT
from llmorch.techniques.turns import in_batches, in_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.calls import Expression
    from llmorch.declare.functions import Function
    from llmorch.techniques.conversation import Answer, Conversation, Task
    from llmorch.techniques.steps import Wanted

SIMILAR = 0.5
"""The share of what one of two functions works on that both work on, from which they are fused."""
MAX_DEPTH = 4
"""How often a type that contains itself is written out."""
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PARTICLES = frozenset(("on", "off", "up", "down", "in", "out"))
_MARKERS = frozenset(("action", "answer", "finish", "join", "observation", "replan", "self", "thought"))
"""Words that mean something in a turn, so that a call of such a name may be read as something else."""
_EMPTY = frozenset((
    "a", "an", "and", "any", "are", "as", "at", "be", "by", "for", "from", "given", "into", "is", "it", "its", "of",
    "one", "or", "that", "the", "this", "to", "with",
))  # fmt: skip


def toolcompiler(task: Task) -> Conversation[Answer]:
    """Fuse similar functions, then answer the query as ``parallel`` does."""
    task = in_turns(task)
    fusion = fuse(task.functions)
    return (yield from in_batches(task, fusion.offered, fusion.taken_apart))


@dataclass(frozen=True)
class Fusion:
    """The functions that a model is offered, and which of them stand for several."""

    offered: Mapping[str, Function]
    groups: Mapping[str, Mapping[str, Function]]
    """The functions behind each fused one, by its name."""

    def taken_apart(self, wanted: Wanted) -> Sequence[Wanted]:
        """The operations of a fused call, each a call of its own; any other call as it is."""
        if isinstance(wanted, PlanError) or wanted.function not in self.groups:
            return (wanted,)
        group = self.groups[wanted.function]
        try:
            given = _decoded(wanted.args.get("operations") or next(iter(wanted.positional), None))
        except InvalidArgument as error:
            return (_invalid(wanted, group, f"can't read its operations: {error.message}"),)
        if isinstance(given, DictOf):
            given = ListOf((given,))
        if not isinstance(given, ListOf) or not given.items:
            return (_invalid(wanted, group, "takes a list of operations"),)
        return tuple(_operation(wanted, group, item) for item in given.items)


def fuse(functions: Mapping[str, Function]) -> Fusion:
    """Group the functions that are alike, every two of a group."""
    groups: list[list[Function]] = []
    for function in functions.values():
        for group in groups:
            if all(similar(function, other) for other in group):
                group.append(function)
                break
        else:
            groups.append([function])
    taken = set(functions)
    offered: dict[str, Function] = {}
    fused: dict[str, dict[str, Function]] = {}
    for group in groups:
        if len(group) == 1:
            offered[group[0].name] = group[0]
            continue
        name = _name(group, taken)
        taken.add(name)
        offered[name] = _fused(name, group)
        fused[name] = {function.name: function for function in group}
    return Fusion(offered, fused)


def similar(one: Function, other: Function) -> bool:
    """Whether two functions do alike things with alike arguments."""
    if one.kind != other.kind or one.returns != other.returns or _types(one) != _types(other):
        return False
    names, others = set(one.required), set(other.required)
    # A single argument of one type is alike whatever its name: query, term, title.
    if len(names) > 1 and 2 * len(names & others) < len(names | others) / 2:
        return False
    (verb, things), (other_verb, other_things) = _words(one), _words(other)
    least = SIMILAR * max(1, min(len(things), len(other_things)))
    return verb == other_verb and len(things & other_things) >= least


def _types(function: Function) -> list[str]:
    return sorted(str(item.annotation) for item in function.parameters if item.required)


def _words(function: Function) -> tuple[tuple[str, ...], set[str]]:
    """What a function does, and to what: the first sentence's first word and the others.

    A particle belongs to the verb: on and off are different things to turn. Without a
    description the name must do.
    """
    first = re.split(r"(?<=[.;])\s|\n\n", function.description.strip(), maxsplit=1)[0]
    text = first or _CAMEL.sub(" ", function.name).replace("_", " ")
    words = [_stem(word.lower()) for word in _WORD.findall(text)]
    particles = [word for word in words[1:] if word in _PARTICLES][:1]
    things = {word for word in words[1:] if word not in _EMPTY and word not in _PARTICLES}
    return (*words[:1], *particles), things


def _stem(word: str) -> str:
    for ending in ("ies", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def _name(group: Sequence[Function], taken: Iterable[str]) -> str:
    """What the names share, if that can be called; or all of them."""
    parts = [function.name.split("_") for function in group]
    shared = [part for part in parts[0] if all(part in other for other in parts[1:])]
    name = "_".join(shared)
    if not name.isidentifier() or keyword.iskeyword(name) or name.lower() in _MARKERS:
        name = "_or_".join(function.name for function in group)
    name = name if len(name) <= 50 else f"{group[0].name[:40]}_and_similar"
    while name in taken:
        name += "_many"
    return name


def _fused(name: str, group: Sequence[Function]) -> Function:
    from pydantic import WithJsonSchema

    alternatives = [
        {
            "type": "object",
            "properties": {"function": {"const": function.name}, "arguments": _inlined(function.schema)},
            "required": ["function", "arguments"],
            "additionalProperties": False,
        }
        for function in group
    ]
    schema = {"type": "array", "items": {"anyOf": alternatives}, "minItems": 1}
    listed = "; ".join(f"{item.signature}: {' '.join(item.description.split())}" for item in group)
    example = '[{"function": "' + group[0].name + '", "arguments": {...}}, ...]'
    return replace(
        group[0],
        name=name,
        description=f"Run any number of these operations at once, as {example}: {listed}",
        parameters=(
            Parameter(
                "operations",
                Annotated[list[dict[str, Any]], WithJsonSchema(schema)],
                description="Every operation that can be run now.",
                text="list[dict[str, Any]]",
            ),
        ),
        returns=list,
        returns_description="",
    )


def _inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without pointers: below another one they would point to nothing."""
    definitions = schema.get("$defs", {})

    def resolved(node: Any, depth: int) -> Any:
        if isinstance(node, list):
            return [resolved(item, depth) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = definitions.get(str(node["$ref"]).rsplit("/", 1)[-1], {})
            return resolved(target, depth + 1) if depth < MAX_DEPTH else {}
        return {name: resolved(value, depth) for name, value in node.items() if name != "$defs"}

    made: dict[str, Any] = resolved(dict(schema), 0)
    return made


def _decoded(given: Expression | None) -> Expression | None:
    """Operations that were written as JSON inside a string, as models often do.

    Raises ``InvalidArgument`` for JSON that no argument can be.
    """
    if isinstance(given, Constant) and isinstance(given.value, str) and len(given.value) <= MAX_TEXT:
        with suppress(ValueError, RecursionError):
            return from_json(given.value)
    return given


def _operation(call: FunctionCall, group: Mapping[str, Function], item: Expression) -> Wanted:
    """One operation as a call."""
    if not isinstance(item, DictOf):
        return _invalid(call, group, "takes operations that are objects")
    fields = {key.value: value for key, value in item.items if isinstance(key, Constant)}
    function = fields.pop("function", None)
    if not isinstance(function, Constant) or function.value not in group:
        return _invalid(call, group, "has an operation without one of its functions")
    arguments = fields.pop("arguments", None)
    if isinstance(arguments, DictOf):  # whatever else stands beside them
        given = {key.value: value for key, value in arguments.items if isinstance(key, Constant)}
    elif arguments is None:  # written beside the function's name
        given = fields
    else:
        return _invalid(call, group, "has an operation whose arguments are no object")
    args = {str(name): value for name, value in given.items()}
    return replace(call, function=str(function.value), args=args, positional=())


def _invalid(call: FunctionCall, group: Mapping[str, Function], message: str) -> PlanError:
    hint = (
        f'write operations=[{{"function": "{next(iter(group))}", "arguments": {{...}}}}]; '
        f"functions: {', '.join(group)}"
    )
    return error_in(call, f"{call.function} {message}", hint)
