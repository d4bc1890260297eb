"""What happens next, for many runs: events in, commands out. The core, in ``core.py``, has its two rules."""

from llmorch.schedule.coordinator import callable_of
from llmorch.schedule.core import Alone, Core
from llmorch.schedule.messages import (
    Abort,
    BatchEnded,
    CallAdded,
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
    PlanExtended,
    PlanRevised,
    Refuse,
    Share,
    TimePassed,
    Wake,
)
from llmorch.schedule.nested import Caller
from llmorch.schedule.orchestration import Orchestration
from llmorch.schedule.policy import POLICIES, Policy, policy_named
from llmorch.schedule.room import Lease, Needs
from llmorch.schedule.state import CallState, Planning

__all__ = [
    "POLICIES",
    "Abort",
    "Alone",
    "BatchEnded",
    "CallAdded",
    "CallCancelled",
    "CallCompleted",
    "CallFailed",
    "CallState",
    "CallStopped",
    "Caller",
    "Cancel",
    "CancelRequested",
    "Command",
    "Core",
    "Dispatch",
    "EffectsKnown",
    "Event",
    "Finish",
    "Keep",
    "Lease",
    "ModelOccupied",
    "ModelReleased",
    "Needs",
    "Orchestration",
    "PlanExtended",
    "PlanRevised",
    "Planning",
    "Policy",
    "Refuse",
    "Share",
    "TimePassed",
    "Wake",
    "callable_of",
    "policy_named",
]
