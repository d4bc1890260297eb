"""What holds of the core after every event, whatever happens: for tests, which ask it each time.

Decides nothing. It looks at the account from the other side: what each call has says what
must be free, and what each call waits for says that something else goes on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from llmorch.errors import IllegalEvent
from llmorch.schedule.state import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmorch.calls import CallId
    from llmorch.schedule.core import Core
    from llmorch.schedule.orchestration import Orchestration
    from llmorch.schedule.state import CallState

_IN_VAIN = ("failed", "skipped", "cancelled")


def verify(core: Core) -> None:
    """Raise ``IllegalEvent`` for a core that contradicts itself."""
    for problem in _problems(core):
        raise IllegalEvent(f"the core contradicts itself: {problem}")


def _problems(core: Core) -> Iterator[str]:
    for run in core.runs:
        if list(run.graph) != list(run.states):
            yield f"the graph has {', '.join(run.graph)}, and states are known of {', '.join(run.states)}"
        for call, state in run.states.items():
            yield from _of_itself(call, state)
            yield from _beside_others(run, call, state)
        found = sum(state.status in OPEN for state in run.states.values())
        if found != run.open and not run.cancelled:
            yield f"{run.open} calls are counted that have not ended, and there are {found}"
    yield from _of_all(core)
    yield from _of_the_account(core)


def _of_itself(call: CallId, state: CallState) -> Iterator[str]:
    """A call's times and its error are those of how it stands."""
    if state.call.id != call:
        yield f"{call} has the state of {state.call.id}"
    began, ended = state.dispatched is not None, state.completed is not None
    match state.status:
        case "planned" | "unused":
            right = state.submitted is None and not began and not ended
        case "submitted":
            right = state.submitted is not None and not began and not ended
        case "running":
            right = state.submitted is not None and began and not ended
        case "completed":
            right = ended and (began or state.same_as is not None)
        case "failed":
            right = state.error is not None
        case "skipped":
            right = not began and not ended and state.error is not None
        case "cancelled":
            right = began == ended
    if not right:
        yield f"{call} is {state.status}, with {state}"
    if state.same_as is not None and state.status in ("submitted", "running"):
        yield f"{call} is made, though {state.same_as} is made for it"


def _beside_others(run: Orchestration, call: CallId, state: CallState) -> Iterator[str]:
    """What a call needs is there before it begins, and what it can't have ends it."""
    states = run.states
    used = [(one, states[one].status) for one in run.graph.uses(call)]
    # One that is kept had what it uses, from an attempt of the same story that another call may have now.
    if state.status in ("submitted", "running", "completed") and not run.keeps(call):
        yield from (
            f"{call} is {state.status}, and uses {one}, which is {how}"
            for one, how in used
            if how != "completed"
        )
    if state.status in OPEN:
        yield from (
            f"{call} is {state.status}, and uses {one}, which is {how}"
            for one, how in used
            if how in _IN_VAIN
        )
    if state.status in ("submitted", "running") and not run.keeps(call):
        before = ((one, states[one].status) for one in run.graph.after(call))
        yield from (
            f"{call} is {state.status} before {one}, which is {how}" for one, how in before if how in OPEN
        )
    apart = run.complete or run.adds(call)
    if state.status == "submitted" and not apart and not run.function(call).only_looks:
        yield f"{call} is submitted while the plan is written, and does more than look"
    if state.status == "unused" and not run.function(call).pure:
        yield f"{call} is left out, and is not declared pure"
    if (
        state.same_as is not None
        and state.status == "completed"
        and states[state.same_as].status != "completed"
    ):
        yield f"{call} is complete, and {state.same_as}, which is made for it, is {states[state.same_as].status}"


def _of_all(core: Core) -> Iterator[str]:
    """No call waits for nothing."""
    leases = [*core.coordinator.stopping, *(lease for run in core.runs for lease in run.leases())]
    if leases or core.coordinator.planning:
        return
    for run in core.runs:
        waiting = [call for call, state in run.states.items() if state.status in OPEN]
        if run.complete and not run.cancelled and waiting and run.account.wakes is None:
            yield f"{', '.join(waiting)} wait, and nothing runs"


def _of_the_account(core: Core) -> Iterator[str]:
    """No processor has two calls, and what is held is what calls were given."""
    held: Counter[str] = Counter()
    processors: Counter[int] = Counter()
    leases = [*core.coordinator.stopping, *(lease for run in core.runs for lease in run.leases())]
    for needs, lease in leases:
        processors.update(lease.processors)
        held.update(needs.held(lease))
        if len(lease.processors) != needs.processors:
            yield f"a call has {len(lease.processors)} processors and needs {needs.processors}"
    yield from (f"processor {one} has {times} calls" for one, times in processors.items() if times > 1)
    if core.coordinator.held != dict(held):
        yield f"calls hold {dict(held)}, and the account says {core.coordinator.held}"
