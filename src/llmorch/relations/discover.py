"""What a whole plan says: its relation graph, which of its calls are the same, and which nobody wants.

Calls are the same if they are pure, of one function, with the same arguments. That is decided by
their expressions, before anything runs: nothing here knows what became of any call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmorch.arguments import functions_by_name, refuse, truth
from llmorch.calls import Constant, Plan
from llmorch.plan import with_ids
from llmorch.relations.effects import touches
from llmorch.relations.graph import RelationGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from llmorch.calls import CallId, Expression, FunctionCall
    from llmorch.declare.functions import Function


def discover(
    plan: Plan,
    functions: Mapping[str, Function],
    results: Mapping[CallId, Any] | None = None,
    *,
    optimize: bool = True,
) -> RelationGraph:
    """The relation graph of a checked plan: linear in its calls, their uses and the names that they touch.

    Results that are known say what exactly a call touches. With ``optimize`` it tells which calls are
    the same.
    """
    if not isinstance(plan, Plan):
        refuse("plan", "a Plan", plan)
    functions_by_name("functions", functions)
    if results is not None and not isinstance(results, Mapping):
        refuse("results", "a dictionary of results by call", results)
    truth("optimize", optimize)
    graph = RelationGraph()
    same = SameCalls(functions) if optimize else None
    for call in plan:
        if call.function not in functions:
            refuse("functions", f"what the plan was checked against, with {call.function}", list(functions))
        function = functions[call.function]
        original = None if same is None else same.original(call)
        touch = touches(function, call, results)
        graph.add(call, function.kind, touch, same_as=original, untrusted=function.untrusted)
    return graph


def unused(plan: Plan, functions: Mapping[str, Function]) -> frozenset[CallId]:
    """The pure calls of a whole plan whose results the last call doesn't come from.

    A call is wanted if it is the last one, if it isn't declared pure, or if a call that is
    wanted uses its result, or is the same.
    """
    same = SameCalls(functions)
    originals = {call.id: same.original(call) for call in plan}
    wanted: set[CallId | None] = {plan.answer}
    left = set()
    for call in reversed(plan.calls):
        if call.id in wanted or not functions[call.function].pure:
            wanted.update((*call.uses, originals[call.id]))
        else:
            left.add(call.id)
    return frozenset(left)


class SameCalls:
    """Finds the earlier call that a call repeats, one call after the other in the plan's order.

    Literals are compared with their types, arguments in any order and with defaults filled
    in. A reference to a call that itself repeats another is one to that other.
    """

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._originals: dict[Hashable, CallId] = {}
        self._repeats: dict[CallId, CallId] = {}

    def original(
        self, call: FunctionCall, serves: Callable[[CallId], bool] = lambda _: True
    ) -> CallId | None:
        """The call that this one is a copy of, if there is one and it ``serves``; else later ones may repeat this."""
        function = self._functions[call.function]
        if not function.pure:
            return None
        known = call
        if any(used in self._repeats for used in call.uses):
            (known,) = with_ids(Plan((call,)), self._repeats)
        key = (call.function, known.positional, frozenset(_args(known, function).items()))
        original = self._originals.get(key)
        if original is None or not serves(original):
            self._originals[key] = call.id
            return None
        self._repeats[call.id] = original
        return original


def in_one_form(call: FunctionCall, function: Function) -> FunctionCall:
    """A call with its arguments in the order of the parameters, without those that are the default."""
    return replace(call, args=_args(call, function))


def _args(call: FunctionCall, function: Function) -> dict[str, Expression]:
    def is_default(value: Expression, default: object) -> bool:
        if not isinstance(value, Constant) or type(value.value) is not type(default):
            return False
        return repr(value.value) == repr(default)  # -0.0 is no 0.0

    args = {item.name: call.args[item.name] for item in function.parameters if item.name in call.args}
    args |= call.args
    return {
        name: value
        for name, value in args.items()
        if name not in function.by_name or not is_default(value, function.by_name[name].default)
    }
