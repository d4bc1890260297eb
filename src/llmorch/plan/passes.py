"""Passes over whole plans: what a plan computes and then leaves lying."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from llmorch.calls import Constant, FunctionCall, Plan, Reference, Template
from llmorch.declare.functions import SELF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.calls import CallId, Expression
    from llmorch.declare.functions import Function

_QUERY = "{query}"


def unused_results(plan: Plan, functions: Mapping[str, Function]) -> tuple[FunctionCall, ...]:
    """Calls before the last that only look and whose results no call uses, in the plan's order.

    Any other may be made for what it does, and stays as it is written.
    """
    return tuple(call for call in _unused(plan) if functions[call.function].only_looks)


def _unused(plan: Plan) -> list[FunctionCall]:
    """Calls before the last whose results no call uses."""
    used = {id_ for call in plan for id_ in call.uses}
    return [call for call in plan.calls[:-1] if call.id not in used]


def mention_unused(plan: Plan, functions: Mapping[str, Function]) -> Plan:
    """The plan with unused results added to the prompt of its last call, in plain sight.

    Only a last call that returns a model's reply as it is has one; any other plan stays as
    it is. Small models often fetch what a question needs and then forget to hand it on.
    Nothing is added to a prompt that has to be trusted.
    """
    unused = []
    for call in _unused(plan):
        function = functions[call.function]
        # What returns nothing, or changes something, is made for that: its result is not worth reading.
        if not function.changes and function.returns not in (None, type(None)):
            unused.append(call.id)
    last = plan.calls[-1]
    function = functions[last.function]
    if not unused or not function.asks_model or function.converses or not function.parameters:
        return plan
    name = function.parameters[0].name
    if name not in last.args or name in function.trusted:
        return plan
    amended = replace(last, args={**last.args, name: _mentioning(last.args[name], unused)})
    return Plan((*plan.calls[:-1], amended))


def _mentioning(prompt: Expression, ids: list[CallId]) -> Expression:
    parts: list[str | Expression] = []
    match prompt:
        case Constant(str() as text):
            parts.append(text)
        case Template(given):
            parts += given
        case _:
            parts.append(prompt)
    for id_ in ids:
        lead = f"\n\nResult of {id_}:\n"
        if parts and isinstance(parts[-1], str):
            parts[-1] += lead
        else:
            parts.append(lead)
        parts.append(Reference(id_))
    return Template(tuple(parts))


def with_answer(plan: Plan, functions: Mapping[str, Function], query: str) -> Plan:
    """The plan with a last call that reads its loose ends for the answer, where it has several.

    A plan may stop at what has to be known: two searches, and nothing that compares them.
    One that ends with a call of another function than its loose ends has its answer there,
    and so has one that ends with a call for its effect, or for the model.
    """
    last = functions[plan.calls[-1].function]
    unused = unused_results(plan, functions)
    if not unused or last.asks_model or not last.only_looks:
        return plan
    if any(call.function != last.name for call in unused):
        return plan
    number = len(plan)
    while f"s{number + 1}" in plan.by_id:
        number += 1
    parts: list[str | Expression] = []
    for call in (*unused, plan.calls[-1]):
        parts += [Reference(call.id), "\n"]
    parts[-1] = f"\n\n{query}\nReply with the answer only."
    answer = FunctionCall(f"s{number + 1}", SELF, {"prompt": Template(tuple(parts))})
    return Plan((*plan.calls, answer))


def with_query(call: FunctionCall, query: str) -> FunctionCall:
    """The call with ``{query}`` in its strings filled in: a plan needn't repeat what it answers."""
    if _QUERY not in call.text:
        return call
    return _changed(call, lambda node: node.replace(_QUERY, query) if isinstance(node, str) else node)


def with_ids(plan: Plan, ids: Mapping[CallId, CallId]) -> Plan:
    """The same plan with other ids for its calls; one that ``ids`` doesn't have stays."""

    def renamed(node: Any) -> Any:
        return replace(node, id=ids.get(node.id, node.id)) if isinstance(node, Reference) else node

    return Plan(tuple(replace(_changed(call, renamed), id=ids.get(call.id, call.id)) for call in plan))


def _changed(call: FunctionCall, change: Callable[[Any], Any]) -> FunctionCall:
    """The call with every part of its arguments changed, the leaves first."""

    def mapped(node: Any) -> Any:
        if isinstance(node, tuple):
            return tuple(map(mapped, node))
        if is_dataclass(node) and not isinstance(node, type) and not isinstance(node, Reference):
            node = replace(node, **{item.name: mapped(getattr(node, item.name)) for item in fields(node)})
        return change(node)

    args = {name: mapped(value) for name, value in call.args.items()}
    return replace(call, args=args, positional=mapped(call.positional))
