"""The prompt of ``self``: what a plan writes, with results as a model is to see them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.calls import Reference, Template, references
from llmorch.errors import CallError, EvaluationError
from llmorch.plan import evaluate
from llmorch.plan.budget import Budget, Uncounted
from llmorch.techniques.prompts.results import value_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmorch.calls import CallId, Expression

    Results = Mapping[CallId, Any]
    Texts = Mapping[CallId, str]

MAX_VALUE = 100_000
"""Characters of one value in a prompt: the plan asks for all of it, but nothing reads more than this."""


def prompt(expression: Expression, results: Results, shown: Texts, budget: Budget) -> str:
    """All of the prompt. Raises ``CallError`` for one that has no value, and ``Uncounted``."""
    try:
        return "".join(_pieces(expression, results, shown, budget))
    except Uncounted:
        raise
    except EvaluationError as error:
        raise CallError(f"prompt of self: {error}") from None


def beginning(expression: Expression, results: Results, shown: Texts) -> str:
    """The text that it will begin with, as far as results are known."""
    known = ""
    with suppress(EvaluationError, KeyError):
        for piece in _pieces(expression, results, shown, Budget()):
            known += piece
    return known


def _pieces(expression: Expression, results: Results, shown: Texts, budget: Budget) -> Iterator[str]:
    for part in expression.parts if isinstance(expression, Template) else (expression,):
        if isinstance(part, str):
            yield part
        elif isinstance(part, Reference) and part.id in shown:
            yield shown[part.id]
        elif any(reference.id not in results for reference in references(part)):
            raise KeyError(part)
        else:
            value = evaluate(part, results, budget)
            budget.counted_text(value)
            yield value_text(value, MAX_VALUE)
