"""What a call is given: its argument expressions as values in the types of its parameters.

Decides what a value that doesn't fit may become. It must not know where the call runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.calls import references
from llmorch.errors import CallError, EvaluationError
from llmorch.plan import evaluate
from llmorch.plan.evaluate import as_text, worded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Expression, FunctionCall
    from llmorch.functions import Function
    from llmorch.parameters import Parameter


def arguments(call: FunctionCall, function: Function, results: Mapping[CallId, Any]) -> dict[str, Any]:
    """The values of a call's arguments, by name, from the results of earlier calls.

    Raises ``CallError`` for one that has no value or doesn't fit.
    """
    args = {}
    for name, expression in call.args.items():
        try:
            args[name] = _argument(function.by_name[name], expression, results)
        except (EvaluationError, ValueError) as error:
            raise CallError(f"{name} of {function.name}: {error}") from None
    return args


def _argument(parameter: Parameter, expression: Expression, results: Mapping[CallId, Any]) -> Any:
    """The value in the parameter's type; what was written as a string may be its text."""
    value = evaluate(expression, results)
    try:
        return parameter.accept(value)
    except ValueError as error:
        text = as_text(value) if parameter.annotation is str else evaluate(worded(expression), results)
        try:
            return parameter.accept(text)
        except ValueError:
            pass
        sources = dict.fromkeys(reference.id for reference in references(expression))
        came = f" (from {', '.join(sources)}, a {type(value).__name__})" if sources else ""
        raise ValueError(f"{error}{came}") from None
