"""Results as a model is shown them: as text, bounded in length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import EvaluationError
from llmorch.plan.evaluate import as_text

if TYPE_CHECKING:
    from llmorch.calls import CallId
    from llmorch.techniques.conversation import Outcome

MAX_SHOWN = 6_000
"""Characters of one result that a model is shown."""


def result_text(outcome: Outcome, call: CallId) -> str:
    """What a call returned, or why it has no result; the middle of a long text is cut out."""
    if call not in outcome.results:
        return f"Error: {outcome.errors.get(call, 'it did not run')}"
    try:
        text = as_text(outcome.results[call])
    except EvaluationError as error:
        return f"Error: {error}"
    if len(text) <= MAX_SHOWN:
        return text
    half = MAX_SHOWN // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters cut ...]\n{text[-half:]}"
