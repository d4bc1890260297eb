"""An argument expression as a value in the type of its parameter, wherever that is worked out.

Decides what a value that doesn't fit may become. It must not know whose argument it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.calls import references
from llmorch.plan.evaluate import as_text, evaluate, worded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Expression
    from llmorch.declare.parameters import Parameter


def argument(parameter: Parameter, expression: Expression, results: Mapping[CallId, Any]) -> Any:
    """The value in the parameter's type; what was written as a string may be its text.

    Raises ``EvaluationError``, or ``ValueError`` where it doesn't fit, with a message of one line.
    """
    value = evaluate(expression, results)
    try:
        return parameter.accept(value)
    except ValueError as error:
        text = as_text(value) if parameter.is_text else evaluate(worded(expression), results)
        try:
            return parameter.accept(text)
        except ValueError:
            pass
        sources = dict.fromkeys(reference.id for reference in references(expression))
        came = f" (from {', '.join(sources)}, a {type(value).__name__})" if sources else ""
        raise ValueError(f"{error}{came}") from None
