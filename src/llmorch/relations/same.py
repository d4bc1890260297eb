"""Which calls of a plan are the same: pure calls of one function with the same arguments.

Decides that by their expressions, before anything runs: a call is made once for all that
are the same. It must not know what became of any of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.calls import Constant, Plan
from llmorch.plan import with_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from llmorch.calls import CallId, Expression, FunctionCall
    from llmorch.declare.functions import Function


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
        """The call that this one repeats, if there is one and it ``serves``; else later ones may repeat this."""
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
    args = {}
    for parameter in function.parameters:
        value = call.args.get(parameter.name)
        if value is not None and not _is(parameter.default, value):
            args[parameter.name] = value
    rest = {name: value for name, value in call.args.items() if name not in function.by_name}
    return args | rest


def _is(default: object, value: Expression) -> bool:
    return (
        isinstance(value, Constant)
        and type(value.value) is type(default)
        and repr(value.value) == repr(default)  # -0.0 is no 0.0
    )
