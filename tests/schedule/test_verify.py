"""A core that contradicts itself is found, and one that doesn't is not: every other test relies on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmorch import function, parse
from llmorch.declare.offered import as_functions
from llmorch.errors import IllegalEvent
from llmorch.schedule import Alone, Orchestration, PlanExtended, policy_named
from llmorch.schedule.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable


@function(kind="compute")
def work(x: Any) -> Any: ...


@pytest.fixture
def core() -> Orchestration:
    made = Alone(as_functions([work]), processors=2, policy=policy_named("critical"))
    made.handle(
        PlanExtended(parse("s1 = work(x=1)\ns2 = work(x=2)\ns3 = work(x=s1)").calls, complete=True), at=0.0
    )
    return made


def test_a_core_with_running_and_waiting_calls_is_right(core) -> None:
    verify(core.core)


def began_early(core: Alone) -> None:
    core.states["s3"].status, core.states["s3"].submitted, core.states["s3"].dispatched = "running", 0.0, 0.0


def never_began(core: Alone) -> None:
    core.states["s1"].dispatched = None


def same_processor(core: Alone) -> None:
    core.states["s2"].lease = core.states["s1"].lease


def miscounted(core: Alone) -> None:
    core.states["s3"].status, core.states["s3"].error = "skipped", "s1 failed"


def lost(core: Alone) -> None:
    del core.states["s3"]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (began_early, "s3 is running, and uses s1, which is running"),
        (never_began, "s1 is running, with"),
        (same_processor, "has 2 calls"),
        (miscounted, "3 calls are counted that have not ended, and there are 2"),
        (lost, "the graph has s1, s2, s3, and states are known of s1, s2"),
    ],
)
def test_what_contradicts_itself_is_named(core: Alone, broken: Callable[[Alone], None], says: str) -> None:
    broken(core)
    with pytest.raises(IllegalEvent, match=says):
        verify(core.core)
