"""The core: one plan's execution as a state machine without I/O.

Rule 1: everything that decides what happens next is in this package.
Rule 2: nothing here waits, reads a clock, starts a thread or calls a model.
        A driver reports events; the core answers with commands.
"""

from llmorch.schedule.messages import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallStopped,
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
    OthersHold,
    PlanExtended,
    PlanRevised,
    RateReturned,
    ReturnRate,
)
from llmorch.schedule.orchestration import Orchestration
from llmorch.schedule.policy import POLICIES, Policy, policy_named
from llmorch.schedule.room import Capacity, Needs, Place, rate_name
from llmorch.schedule.state import CallState, Status

__all__ = [
    "POLICIES",
    "CallCancelled",
    "CallCompleted",
    "CallFailed",
    "CallState",
    "CallStopped",
    "Cancel",
    "CancelRequested",
    "Capacity",
    "Command",
    "Dispatch",
    "EffectsKnown",
    "Event",
    "Finish",
    "Keep",
    "ModelOccupied",
    "ModelReleased",
    "Needs",
    "Orchestration",
    "OthersHold",
    "Place",
    "PlanExtended",
    "PlanRevised",
    "Policy",
    "RateReturned",
    "ReturnRate",
    "Status",
    "policy_named",
    "rate_name",
]
