"""Techniques: each a plain generator that converses with a model. One module each."""

from llmorch.techniques.conversation import (
    AskModel,
    Conversation,
    Draft,
    Outcome,
    Reply,
    RunPlan,
    Task,
    WritePlan,
)
from llmorch.techniques.examples import Example, parse_examples
from llmorch.techniques.llmorch import llmorch

TECHNIQUES = {"llmorch": llmorch}
"""The techniques by name; the first is the default."""

__all__ = [
    "TECHNIQUES",
    "AskModel",
    "Conversation",
    "Draft",
    "Example",
    "Outcome",
    "Reply",
    "RunPlan",
    "Task",
    "WritePlan",
    "llmorch",
    "parse_examples",
]
