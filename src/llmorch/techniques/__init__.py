"""Techniques: each a plain generator that converses with a model. One module each.

Another is a ``Technique`` of your own, in a file of your own: what it needs is here.
"""

from __future__ import annotations

from llmorch.techniques.conversation import (
    Answer,
    AskModel,
    Conversation,
    Draft,
    Look,
    Outcome,
    Recovery,
    Reply,
    Revise,
    RunPlan,
    Task,
    Technique,
    WritePlan,
    answer_of,
)
from llmorch.techniques.examples import Example, parse_examples
from llmorch.techniques.plans import llmcompiler, llmorch, rewoo
from llmorch.techniques.toolcompiler import toolcompiler
from llmorch.techniques.turns import parallel, react

TECHNIQUES = {
    technique.name: technique
    for technique in (
        Technique("llmorch", llmorch, recoveries=3, last_answers=True),
        Technique("react", react, policy="sequential", plans=False),
        Technique("parallel", parallel, policy="barrier", plans=False),
        Technique("toolcompiler", toolcompiler, policy="barrier", plans=False),
        Technique("rewoo", rewoo, policy="sequential"),
        Technique("llmcompiler", llmcompiler, policy="greedy"),
    )
}
"""The techniques by name; the first is the default."""

__all__ = [
    "TECHNIQUES",
    "Answer",
    "AskModel",
    "Conversation",
    "Draft",
    "Example",
    "Look",
    "Outcome",
    "Recovery",
    "Reply",
    "Revise",
    "RunPlan",
    "Task",
    "Technique",
    "WritePlan",
    "answer_of",
    "parse_examples",
]
