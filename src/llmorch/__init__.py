"""LLMOrch: a compiler and runtime for the function calls of language models.

>>> from llmorch import Orchestrator, function
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmorch.calls import FunctionCall, Plan
    from llmorch.declare.decorator import function
    from llmorch.declare.functions import Function
    from llmorch.declare.offered import methods_of, stateful
    from llmorch.errors import (
        CallError,
        FunctionError,
        LimitReached,
        LLMOrchError,
        ModelError,
        PlanError,
        UnresolvedQuery,
        WrongArgument,
    )
    from llmorch.forecast import Forecast
    from llmorch.models.named import model_named
    from llmorch.orchestrator import Orchestrator
    from llmorch.places.port import End, Handle, Here, Job, Place, Work
    from llmorch.plan import check, parse, render
    from llmorch.processors import Processors
    from llmorch.relations import RelationGraph, discover
    from llmorch.requests import Usage
    from llmorch.result import CallRecord, Result
    from llmorch.run import Run
    from llmorch.runtime.simulate import Simulation, simulate
    from llmorch.runtime.store import Released
    from llmorch.schedule.policy import Policy
    from llmorch.session import Session
    from llmorch.techniques import TECHNIQUES, Technique
    from llmorch.techniques.influence import Proposal

__version__ = "0.1.0"

_HOMES = {
    "Work": "places.port",
    "Here": "places.port",
    "Handle": "places.port",
    "End": "places.port",
    "Job": "places.port",
    "Place": "places.port",
    "Technique": "techniques",
    "Policy": "schedule.policy",
    "Usage": "requests",
    "TECHNIQUES": "techniques",
    "CallError": "errors",
    "CallRecord": "result",
    "Forecast": "forecast",
    "Function": "declare.functions",
    "FunctionCall": "calls",
    "FunctionError": "errors",
    "LLMOrchError": "errors",
    "LimitReached": "errors",
    "ModelError": "errors",
    "Orchestrator": "orchestrator",
    "Plan": "calls",
    "Processors": "processors",
    "PlanError": "errors",
    "Proposal": "techniques.influence",
    "RelationGraph": "relations",
    "Released": "runtime.store",
    "Result": "result",
    "Run": "run",
    "Session": "session",
    "Simulation": "runtime.simulate",
    "UnresolvedQuery": "errors",
    "WrongArgument": "errors",
    "check": "plan",
    "discover": "relations",
    "function": "declare.decorator",
    "methods_of": "declare.offered",
    "model_named": "models.named",
    "parse": "plan",
    "render": "plan",
    "simulate": "runtime.simulate",
    "stateful": "declare.offered",
}

__all__ = [
    "TECHNIQUES",
    "CallError",
    "CallRecord",
    "End",
    "Forecast",
    "Function",
    "FunctionCall",
    "FunctionError",
    "Handle",
    "Here",
    "Job",
    "LLMOrchError",
    "LimitReached",
    "ModelError",
    "Orchestrator",
    "Place",
    "Plan",
    "PlanError",
    "Policy",
    "Processors",
    "Proposal",
    "RelationGraph",
    "Released",
    "Result",
    "Run",
    "Session",
    "Simulation",
    "Technique",
    "UnresolvedQuery",
    "Usage",
    "Work",
    "WrongArgument",
    "check",
    "discover",
    "function",
    "methods_of",
    "model_named",
    "parse",
    "render",
    "simulate",
    "stateful",
]


def __getattr__(name: str) -> Any:
    # Worker processes import this package too, and need none of it: each name is
    # fetched from its module when it is first asked for.
    if name not in _HOMES:
        raise AttributeError(f"module 'llmorch' has no attribute {name!r}")
    value = getattr(import_module(f"llmorch.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
