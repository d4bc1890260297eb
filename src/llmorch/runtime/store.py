"""What the calls of one run came to: values by handle, tracebacks, what they asked of a model.

Decides what a changed plan keeps, which values are freed when, and which are still there when a
run has ended. It opens none: who reads a result does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError, shortage
from llmorch.places.arguments import Inputs
from llmorch.places.handles import Unopened
from llmorch.places.port import End, Here
from llmorch.runtime.logs import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.places.port import Handle
    from llmorch.requests import Usage
    from llmorch.schedule import Keep, Orchestration

    Key = tuple[CallId, int]

_DONE = ("completed", "unused")


class Released:
    """Stands in a result for a large value that only calls in other processes used: it was freed after them.

    ``what`` describes it. To keep a value, have the last call return it, or use it in a call that
    isn't a compute call.
    """

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return f"<released after its last use: {self.what}>"


class Store:
    """What the calls of the plan came to, and those of the plan that it revises."""

    def __init__(self) -> None:
        self.handles: dict[CallId, Handle] = {}
        self.results: Mapping[CallId, Any] = Inputs(self.handles, apart=False)
        """Those that are here; to read another one is ``Uncounted``."""
        self.notes: dict[str, str] = {}
        """By function, why its results could not be shown as it says."""
        self.asked: dict[Key, Usage] = {}
        """What each call asked of the model, if it did."""
        self.errors: dict[Key, CallError] = {}
        """How calls failed in their functions. No model sees the tracebacks."""
        self.elsewhere = False
        """Whether any value is large, or where only its place knows."""
        self._kept: dict[Key, Handle] = {}
        """Every value that the plan, or the one that it revises, may still use."""

    @property
    def texts(self) -> dict[CallId, str]:
        """What a model sees instead of values, where functions say so."""
        return {call: handle.text for call, handle in self.handles.items() if handle.text is not None}

    @property
    def tracebacks(self) -> dict[Key, str]:
        """By call that failed in its function, the function's traceback."""
        return {key: error.detail for key, error in self.errors.items() if error.detail}

    @property
    def unopened(self) -> bool:
        """Whether there is a result that nobody here has opened."""
        return not all(handle.here for handle in self.handles.values())

    def results_as_they_came(self) -> dict[CallId, Any]:
        """Every result, or its handle where nobody here has opened it."""
        return {
            call: handle if type(handle) is Unopened else handle.open()
            for call, handle in self.handles.items()
        }

    def as_it_is(self) -> Mapping[CallId, Any]:
        """The results of this moment, whatever comes later; none is opened."""
        return Inputs(dict(self.handles))

    def take(self, key: Key, function: Function, end: End, *, current: bool) -> None:
        """Take what an attempt came to; ``current`` says that the plan still makes this call."""
        if end.usage is not None:
            self.asked[key] = end.usage
        if end.error is not None:
            end.error.__traceback__ = end.error.__context__ = (
                None  # the frames that it came through hold values
            )
            self.errors[key] = end.error
        if end.value is None:
            return
        self._kept[key] = end.value
        self.elsewhere |= _is_elsewhere(end.value)
        if end.value.why:
            self.notes[function.name] = (
                f"show of {function.name} failed, so the model was shown the result as if it had none: "
                f"{end.value.why}"
            )
        if current:
            self.handles[key[0]] = end.value

    def share(self, call: CallId, same_as: CallId) -> None:
        """Take what another call came to for what this one did."""
        self.handles[call] = self.handles[same_as]

    def forget(self, key: Key) -> None:
        """Drop what one call came to."""
        for known in (self._kept, self.asked, self.errors):
            known.pop(key, None)
        self.handles.pop(key[0], None)

    def revise(self) -> None:
        """The plan is void: know nothing until the new one keeps a call."""
        self.handles.clear()

    def keep(self, kept: Keep) -> None:
        """Take what a call of the plan before came to, if it has ended, for what one of this plan did."""
        before, now = (kept.before, kept.before_attempt), (kept.call, kept.attempt)
        if before in self._kept:
            self.handles[kept.call] = self._kept[now] = self._kept.pop(before)
        if before in self.asked:
            self.asked[now] = self.asked.pop(before)
        if before in self.errors:
            self.errors[now] = self.errors.pop(before)

    def drop_others(self, run: Orchestration) -> None:
        """The plan is complete: nothing can use the results of calls that it leaves out."""
        if len(self._kept) > len(self.handles):
            current = {state.key for state in run.states.values()}
            self._kept = {key: value for key, value in self._kept.items() if key in current}

    def release(self, calls: Iterable[CallId], run: Orchestration) -> list[Handle]:
        """Let go of large results among these that every call which uses them is done with.

        What is returned is to be closed, which may take long.
        """
        large = [call for call in calls if call in self.handles and _is_elsewhere(self.handles[call])]
        closing = []
        for call in _done_with(large, run) if large else ():
            handle = self.handles.get(call)
            if handle is not None and _is_elsewhere(handle):
                self.handles[call] = Here(Released(handle.what))
                if not any(other is handle for other in self.handles.values()):
                    closing.append(handle)
        return closing

    def settle(self, run: Orchestration) -> list[Handle]:
        """At the end: release what was used, or is no result of the plan; have all else here, as long as its place is.

        One that can't be had is described.
        """
        closing = self.release(list(self.handles), run)
        left = set(map(id, self.handles.values()))
        for call, handle in self.handles.items():
            if type(handle) is Unopened:
                continue
            try:
                handle.open()
            except CallError as error:
                self.handles[call] = Here(Released(f"{handle.what}; {error}"))
        closing += [handle for handle in self._kept.values() if not (handle.here or id(handle) in left)]
        self._kept.clear()
        return closing


def _is_elsewhere(handle: Handle) -> bool:
    """Whether a value takes memory until it is freed: the few bytes of a small one go with the result."""
    return handle.is_large if type(handle) is Unopened else not handle.here


def _done_with(calls: Iterable[CallId], run: Orchestration) -> Sequence[CallId]:
    """The calls among these whose results were used, by calls that are all done with them."""
    found: dict[CallId, None] = {}
    for call in calls:
        alike = run.graph.alike(call) if call in run.graph else ()
        users = [run.graph.users(same) for same in alike]
        if alike and all(users) and all(run.states[user].status in _DONE for some in users for user in some):
            found |= dict.fromkeys(alike)
    return list(found)


async def close_aside(handles: Iterable[Handle]) -> None:
    """Free what values hold elsewhere; on a thread, since giving much memory back takes long."""
    try:
        await asyncio.to_thread(_close_all, handles)
    except RuntimeError as error:  # no thread can be had; what is closed twice is closed
        if not shortage(error):
            raise
        _close_all(handles)


def _close_all(handles: Iterable[Handle]) -> None:
    for handle in handles:
        try:
            handle.close()
        except Exception:  # of somebody's place: the run has its results
            log.exception("a place raised as it was to free a value")
