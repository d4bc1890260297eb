"""Results as a model is shown them: as their functions say, or as text, and a preview of what is long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import EvaluationError
from llmorch.plan.evaluate import as_text
from llmorch.previews import is_long, preview

if TYPE_CHECKING:
    from llmorch.calls import CallId
    from llmorch.techniques.conversation import Outcome

MAX_SHOWN = 6_000
"""Characters of one result that a model is shown."""


def result_text(outcome: Outcome, call: CallId, limit: int = MAX_SHOWN) -> str:
    """What a call returned, in at most ``limit`` characters, or why it has no result."""
    if call not in outcome.results:
        return f"Error: {outcome.errors.get(call, 'it did not run')}"
    return value_text(outcome.shown.get(call, outcome.results[call]), limit)


def value_text(value: object, limit: int = MAX_SHOWN) -> str:
    """A value as it stands in a string where that is short, else a preview of it."""
    if not is_long(value, limit):
        try:
            text = as_text(value)
        except EvaluationError:  # its own methods raise
            return preview(value, limit)
        if len(text) <= limit:
            return text
    return preview(value, limit)
