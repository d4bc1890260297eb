"""Calls with effects that were made already: what a model writes later must not make them again.

Decides when two calls are the same, whatever their ids: the same function of the same
values, with defaults filled in. It must not know why a call is written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.calls import references
from llmorch.errors import EvaluationError, PlanError
from llmorch.plan import error_in, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmorch.calls import CallId, FunctionCall, Plan
    from llmorch.declare.functions import Function
    from llmorch.declare.parameters import Parameter
    from llmorch.techniques.conversation import Outcome


class SameCall:
    """Gives two calls the same text if they come to the same; results that are known count as values."""

    def __init__(
        self, functions: Mapping[str, Function], results: Mapping[CallId, Any] | None = None
    ) -> None:
        self._functions = functions
        self._results = results or {}

    def __call__(self, call: FunctionCall) -> str:
        values = [self._value(call, parameter) for parameter in self._functions[call.function].parameters]
        return f"{call.function}({', '.join(values)})"

    def _value(self, call: FunctionCall, parameter: Parameter) -> str:
        expression = call.args.get(parameter.name)
        if expression is None:
            return _text(parameter.default)
        if any(reference.id not in self._results for reference in references(expression)):
            return repr(expression)
        try:
            return _text(parameter.accept(evaluate(expression, self._results)))
        except (EvaluationError, ValueError):
            return repr(expression)


def _text(value: Any) -> str:
    """1 and 1.0 are one number, whichever a model writes."""
    try:
        return repr(float(value) if type(value) is int and abs(value) < 2**53 else value)
    except Exception:
        # A value's own __repr__ may raise anything. All such values count as the same one: an
        # effect that is refused can be written otherwise, one that was made twice can't be undone.
        return "(can't be shown)"


def refuse_repeated(
    calls: Iterable[FunctionCall], others: Plan, outcome: Outcome, functions: Mapping[str, Function]
) -> None:
    """Raise ``PlanError`` for the first of these calls that is one of the ``others`` which may be made once only."""
    same = SameCall(functions, outcome.results)
    made = {
        same(call) for call in others if call.id in outcome.begun and not functions[call.function].retryable
    }
    for call in calls:
        if made and same(call) in made:
            message = f"{call.function} has effects, and this call of it was made already"
            raise error_in(call, message, "use what it returned, or leave it out", PlanError)
