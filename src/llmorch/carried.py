"""An orchestrator that is sent to another process: what goes along, and what is made anew there.

Its functions go as callables with what was said of them, for what a declaration has read from a
signature is read there again. Its processors are others, and what calls took is not kept there.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from llmorch.declare.functions import SELF, Function
from llmorch.declare.interfaces import interface_of
from llmorch.declare.offered import self_function

_READ = ("call", "parameters", "returns")
"""The fields of a function that its callable tells."""


def reduced(orchestrator: Any) -> tuple[Any, ...]:
    """How ``pickle`` takes an orchestrator apart."""
    state = {
        name: value for name, value in vars(orchestrator).items() if name not in ("functions", "_learning")
    }
    functions = [_said(item) for name, item in orchestrator.functions.items() if name != SELF]
    return _made, (type(orchestrator), state, functions)


def _said(item: Function) -> tuple[Any, dict[str, Any]]:
    return item.call, {one.name: getattr(item, one.name) for one in fields(item) if one.name not in _READ}


def _made(kind: Any, state: dict[str, Any], functions: list[Any]) -> Any:
    orchestrator = kind.__new__(kind)
    vars(orchestrator).update(state)
    orchestrator._learning = None
    orchestrator.functions = {said["name"]: _declared(target, said) for target, said in functions}
    orchestrator.functions[SELF] = self_function(orchestrator.model.kind)
    return orchestrator


def _declared(target: Any, said: dict[str, Any]) -> Function:
    interface = interface_of(target, said["name"], asks_model=said["asks_model"])
    return Function(call=target, **{**interface, **said})
