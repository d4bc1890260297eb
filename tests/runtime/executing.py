"""A run's calls on real processors, without an orchestrator around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.runtime.driver import Execution
from llmorch.schedule import policy_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch import Function, Processors


def execution_on(processors: Processors, functions: Mapping[str, Function]) -> Execution:
    door = processors.door(functions)
    return Execution(door, functions, places=lambda _: door.place, policy=policy_named("critical"))
