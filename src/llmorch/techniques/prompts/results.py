"""Results as a model is shown them: as their functions say, or as text, and a preview of what is long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.declare.previews import is_long, preview
from llmorch.declare.text import is_a
from llmorch.errors import EvaluationError
from llmorch.plan.evaluate import as_text

if TYPE_CHECKING:
    from llmorch.calls import CallId
    from llmorch.techniques.conversation import Outcome

MAX_SHOWN = 6_000
"""Characters of one result that a model is shown."""


def result_text(outcome: Outcome, call: CallId) -> str:
    """What a call returned, as its function has it shown, or why it has no result."""
    if call not in outcome.results:
        return f"Error: {outcome.errors.get(call, 'it did not run')}"
    text = outcome.shown.get(call)
    if text is not None:
        return value_text(text)
    try:
        return value_text(outcome.results[call])
    except EvaluationError as error:  # a large one, which can be opened in other processes only
        return f"Error: {error}"


def value_text(value: object, limit: int = MAX_SHOWN) -> str:
    """A value as it stands in a string where that is short, else a preview of it.

    Of a long text the middle is cut out, and a line says how much that was.
    """
    if is_a(value, str):
        value = as_text(value)
        return value if len(value) <= limit else _without_middle(value, limit)
    if not is_long(value, limit):
        try:
            text = as_text(value)
        except EvaluationError:  # its own methods raise
            return preview(value, limit)
        if len(text) <= limit:
            return text
    return preview(value, limit)


def _without_middle(text: str, limit: int) -> str:
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters cut ...]\n{text[len(text) - half :]}"
