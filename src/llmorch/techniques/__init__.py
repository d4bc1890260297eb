"""Techniques: each a plain generator that converses with a model. One module each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    WritePlan,
    answer_of,
)
from llmorch.techniques.examples import Example, parse_examples
from llmorch.techniques.llmcompiler import llmcompiler
from llmorch.techniques.llmorch import llmorch
from llmorch.techniques.parallel import parallel
from llmorch.techniques.react import react
from llmorch.techniques.rewoo import rewoo
from llmorch.techniques.toolcompiler import toolcompiler

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Technique:
    """A way to converse with the model, and the policy that its paper coordinates calls by."""

    name: str
    play: Callable[[Task], Conversation[Answer]]
    policy: str
    plans: bool
    """Whether it writes a plan, or thinks in turns."""
    recoveries: int = 0
    """How many attempts to recover a failed call may have, unless somebody says otherwise."""


TECHNIQUES = {
    technique.name: technique
    for technique in (
        Technique("llmorch", llmorch, policy="critical", plans=True, recoveries=3),
        Technique("react", react, policy="sequential", plans=False),
        Technique("parallel", parallel, policy="barrier", plans=False),
        Technique("toolcompiler", toolcompiler, policy="barrier", plans=False),
        Technique("rewoo", rewoo, policy="sequential", plans=True),
        Technique("llmcompiler", llmcompiler, policy="greedy", plans=True),
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
