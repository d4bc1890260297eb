"""The core: one plan's execution as a state machine without I/O.

Rule 1: everything that decides what happens next is in this package.
Rule 2: nothing here waits, reads a clock, starts a thread or calls a model.
        A driver reports events; the core answers with commands.
"""

from llmorch.schedule.messages import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    Cancel,
    CancelRequested,
    Command,
    Dispatch,
    EffectsKnown,
    Event,
    Finish,
    Keep,
    ModelOccupied,
    ModelReleased,
    PlanExtended,
    PlanRevised,
)
from llmorch.schedule.orchestration import Orchestration
from llmorch.schedule.policy import POLICIES, Policy, policy_named
from llmorch.schedule.state import CallState, Status

__all__ = [
    "POLICIES",
    "CallCancelled",
    "CallCompleted",
    "CallFailed",
    "CallState",
    "Cancel",
    "CancelRequested",
    "Command",
    "Dispatch",
    "EffectsKnown",
    "Event",
    "Finish",
    "Keep",
    "ModelOccupied",
    "ModelReleased",
    "Orchestration",
    "PlanExtended",
    "PlanRevised",
    "Policy",
    "Status",
    "policy_named",
]
