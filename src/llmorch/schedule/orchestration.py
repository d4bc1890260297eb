"""One run's scheduler: its graph, the states of its calls, and what is ready to be made.

Decides what a run submits, and what every event makes of it. Whose call is dispatched is
the coordinator's to say; both are put together in ``core.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from llmorch.errors import IllegalEvent
from llmorch.relations import NOTHING, RelationGraph, touches
from llmorch.schedule.messages import (
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
    Finish,
    Keep,
    ModelOccupied,
    ModelReleased,
    PlanExtended,
    PlanRevised,
    Refuse,
    Share,
    TimePassed,
)
from llmorch.schedule.once import Once, left_out
from llmorch.schedule.policy import Waiting
from llmorch.schedule.revision import Unwanted, Void
from llmorch.schedule.run import RunState
from llmorch.schedule.scheduler import Scheduler
from llmorch.schedule.state import OPEN, CallState, Planning, Shared

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.schedule.messages import Event
    from llmorch.schedule.nested import Caller
    from llmorch.schedule.room import Lease


CANCELLED = "cancelled by the caller"  # a model that plans on reads it


class Orchestration(RunState):
    """One run, as events and commands.

    With ``optimize`` pure calls that are the same are made once. All else is ``RunState``'s.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        optimize: bool = False,
        above: Sequence[Caller] = (),
        **said: Any,
    ) -> None:
        super().__init__(functions, **said)
        self.above = tuple(above)
        self._scheduler = Scheduler(self.graph)
        self._void = Void(functions)
        self._unwanted = Unwanted(functions)
        self._once = Once(functions, optimize=optimize)
        self._withheld: list[CallId] = []
        """Calls that do more than look, as far as anybody said, ready before the whole plan is known."""
        self._finished = False
        """Whether ``Finish`` was said, and the plan hasn't gone on since."""
        self._was_revised = False

    def take(self, event: Event, at: float) -> list[Command]:
        """Account for one event; what it lets begin is the coordinator's to say, then ``end``'s.

        An event that the state rules out changes nothing and raises ``IllegalEvent``;
        one about an attempt that was given up is dropped.
        """
        if self.cancelled and not isinstance(event, CallStopped):
            if not isinstance(event, PlanExtended | PlanRevised | ModelOccupied | EffectsKnown):
                return []
            raise IllegalEvent(f"{event} after the end")
        match event:
            case CallCompleted(call, attempt) | CallFailed(call, attempt):
                state = self._running(event, call, attempt)
                return [] if state is None else self._submit(self._end(event, state, at), at)
            case CallAdded():
                return self._take_call(event, at)
            case BatchEnded(events):
                return self._account(events, at)
            case CallCancelled(call, attempt):
                return self._give_up(call, attempt, at)
            case CallStopped(call, attempt):
                self._coordinator.stopped(self.account, (call, attempt))
            case EffectsKnown(call, touch):
                if call in self.graph:
                    self.graph.narrow(call, touch)
                    return self._submit(self._scheduler.narrowed(call), at)
            case PlanExtended(calls):
                if (self.complete and not self._finished) or any(call.id in self.graph for call in calls):
                    raise IllegalEvent(
                        f"{', '.join(call.id for call in calls)}: there already, or after the end"
                    )
                self._finished = self.complete = False
                return self._extend(event, at)
            case PlanRevised():
                self._finished = self.complete = False
                self._revise()
            case ModelOccupied():
                self.planning.append(Planning(at, self._coordinator.occupy(self.account).processors))
            case ModelReleased():
                self._coordinator.vacate(self.account)
                self.planning[-1].ended = at
            case TimePassed():
                self._coordinator.woken(self.account)
            case CancelRequested():
                return self._cancel_all(at)
            case _:
                assert_never(event)
        return []

    def begin(self, calls: list[CallId], lease: Lease, at: float) -> Dispatch:
        """Take note that calls are made now, and with what; several are made as one."""
        shared = Shared(len(calls)) if len(calls) > 1 else None
        keys = []
        for call in calls:
            state = self._handed_out(call)
            state.become("running", at)
            state.lease, state.shared = lease, shared
            self._attempts[call] = state.attempt
            keys.append((call, state.attempt))
        processor, *beside = lease.processors or (None,)
        return Dispatch(*keys[0], processor, tuple(beside), lease.device, tuple(keys[1:]))

    def end(self) -> list[Command]:
        """``Finish``, once, when nothing runs and nothing more can."""
        if self.complete and not self._open and not self._finished:
            self._finished = True
            return [Finish()]
        return []

    def forget(self, call: CallId) -> None:
        """Drop all that is known of a call that was added and has ended: none uses it, and none waits for it."""
        self.graph.remove(call)
        self._scheduler.forget(call)
        self._attempts.pop(call, None)
        self._added.pop(call, None)
        self.within.pop(call, None)
        del self.states[call]

    def unwant(self, call: FunctionCall) -> None:
        """Know that the caller doesn't want a call, before it is in the plan."""
        self._unwanted.add(call)

    def _account(self, events: tuple[CallCompleted | CallFailed, ...], at: float) -> list[Command]:
        """Take note of calls that ended at once; an event that can't be is found before any counts."""
        found = [self._running(event, event.call, event.attempt) for event in events]
        ready: list[CallId] = []
        for event, state in zip(events, found, strict=True):
            if state is not None:
                ready += self._end(event, state, at)
        return self._submit(sorted(ready, key=self.graph.order), at)

    def _end(self, event: CallCompleted | CallFailed, state: CallState, at: float) -> list[CallId]:
        """Take note that a call ended; return the calls that are ready now."""
        error = event.error if isinstance(event, CallFailed) else None
        self._close(state, "completed" if error is None else "failed", at, error)
        if state.shared is None or state.leave():
            self._coordinator.release(self.account, self._needs(state.call), state.lease)
        if state is not self.states.get(event.call):
            return []
        return self._scheduler.complete(event.call) if error is None else self._stop_descendants(event.call)

    def _stop_descendants(self, call: CallId) -> list[CallId]:
        """Skip what depends on a call that came to nothing; return what only waited for its turn."""
        if call in self._added:  # whoever added the others hears of this one's failure, and decides
            return self._scheduler.complete(call)
        stopped = self._scheduler.fail(call)
        for other in stopped:
            self._skip(self.states[other], call)
        return self._scheduler.passed([call, *stopped])

    def _give_up(self, call: CallId, attempt: int, at: float) -> list[Command]:
        """Account for a call that the caller doesn't want; one that has ended stays as it is."""
        known = self._known(call, attempt)
        state = next((one for one in known if one.status in OPEN), None)
        if state is None:
            return []
        if call not in self._added:
            self._unwanted.add(state.call)
        commands: list[Command] = []
        if state.status == "running":
            self._cancel(state, at, CANCELLED)
        else:
            if call in self._withheld:
                self._withheld.remove(call)
            elif state.status == "submitted":
                self._coordinator.drop(self.account, call)
            self._close(state, "cancelled", error=CANCELLED)
        if state is self.states.get(call):
            self._scheduler.begun(call)
            commands += self._submit(self._stop_descendants(call), at)
        return commands

    def _submit(self, calls: list[CallId], at: float) -> list[Command]:
        """Hand on what is ready to be made, and complete what another call was made for."""
        commands: list[Command] = []
        if not calls:
            return commands
        waiting = []
        never: list[CallId] = []
        made, copies = self._scheduler.settle(calls)
        for call in made:
            state = self.states[call]
            needs = self._needs(state.call)
            if (self.above or self.within) and (lack := self._lacks(call, needs)):
                never += self._never(state, lack, at)
                commands.append(Refuse(call, state.error or ""))
                continue
            if not (self.complete or call in self._added or self._functions[state.call.function].only_looks):
                self._withheld.append(call)
                continue
            state.become("submitted", at)
            waiting.append(Waiting(call, self.graph.order(call), needs, self._urgency(call)))
        self._coordinator.submit(self.account, waiting)
        for copy in copies:
            state = self.states[copy]
            assert state.same_as is not None
            self._close(state, "completed", at)
            commands.append(Share(copy, state.same_as))
        return commands + (self._submit(never, at) if never else [])

    def refuse(self, call: CallId, lack: str, at: float) -> list[Command]:
        """Take note that a call that waits can never begin."""
        state = self.states[call]
        freed = self._never(state, lack, at)
        return [Refuse(call, state.error or ""), *self._submit(freed, at)]

    def _never(self, state: CallState, lack: str, at: float) -> list[CallId]:
        self._close(state, "failed", at, f"{state.call.function} would wait for ever: {lack}")
        return self._stop_descendants(state.call.id)

    def _extend(self, extended: PlanExtended, at: float) -> list[Command]:
        commands: list[Command] = []
        ready = []
        refused = dict(extended.refused)
        for call in extended.calls:
            function = self._functions[call.function]
            unwanted = call in self._unwanted
            original = None if unwanted else self._once.original(call, self.states)
            same = touch = None
            if self._was_revised:
                same = None if unwanted or original is not None else self._earlier.match(call)
                touch = self._void.touch(call, self._named_by(call)) if same is None else same.touch
            if same is None and call.id in refused:  # nothing waits for it, or is spoilt by it
                touch = NOTHING
            touch = touches(function, call) if touch is None else touch
            self.graph.add(call, function.kind, touch, same_as=original, untrusted=function.untrusted)
            if same is not None and (not function.repeatable or not self._spoilt(call.id)):
                commands.append(self._keep(call, same))
                continue
            inputs = self._keys(call.uses) if call.uses else ()
            state = CallState(call, self._attempts.get(call.id, 0) + 1, inputs, known=at)
            self._add(call.id, state)
            if original is not None:
                state.same_as = original
                self._earlier.share(call.id, original)
            if self._was_revised and (made := self._void.unrepeatable(call)):
                self._refuse(state, made)
            elif unwanted:
                self._close(state, "cancelled", error=CANCELLED)
                self._scheduler.in_vain(call.id)
            elif why := refused.get(call.id):
                self._close(state, "failed", at, why)
                self._scheduler.in_vain(call.id)
                commands.append(Refuse(call.id, why))
            elif self._scheduler.add(call.id):
                ready.append(call.id)
            elif self._scheduler.stopped(call.id):
                causes = (*call.uses, *self.graph.spoilers(call.id), state.same_as)
                self._skip(state, next(cause for cause in causes if cause and self._scheduler.stopped(cause)))
        if extended.complete:
            commands += [
                self._cancel(state, at) for state in self._earlier.drop() if state.status == "running"
            ]
            self.complete = True
            ready, self._withheld = [*self._withheld, *self._leave_out(extended.unused, ready)], []
            self._urgencies = self._ordered()
            self._coordinator.reorder(self.account, self._urgencies)
        return commands + self._submit(ready, at)

    def _take_call(self, added: CallAdded, at: float) -> list[Command]:
        """Take a call that is no part of a plan."""
        call = added.call
        self.graph.add(call, self._functions[call.function].kind, added.touch)
        self._add(call.id, CallState(call, known=at))
        self._added[call.id] = added.alone
        return self._submit([call.id], at) if self._scheduler.add(call.id) else []

    def _leave_out(self, unused: Collection[CallId], ready: list[CallId]) -> list[CallId]:
        """Leave out what nobody wants; return what is ready then, of what was and beside it."""
        left = left_out(unused, self.graph, self.states)
        if not left:
            return ready
        for call in left:
            state = self.states[call]
            if state.status == "submitted":
                self._coordinator.drop(self.account, call)
            self._close(state, "unused")
        wanted = [call for call in ready if self.states[call].status != "unused"]
        return [*wanted, *self._scheduler.drop(left)]

    def _refuse(self, state: CallState, made: CallState) -> None:
        """Fail a call whose effect is made already: on other inputs it would be made again."""
        function = self._functions[state.call.function]
        error = f"{function.name} was made already, and {function.once_for_all}"
        self._close(state, "failed", made.completed, error)
        state.attempt, state.dispatched = made.attempt, made.dispatched
        self._scheduler.in_vain(state.call.id)

    def _revise(self) -> None:
        self._was_revised = True
        self._unwanted.revised(self.states)
        # What runs keeps its processor until the new plan is known to make it or not.
        self._coordinator.withdraw(self.account)
        for call, state in self.states.items():
            state.touch = self.graph.touch(call)
            self._void.add(state, self._named_by(state.call))
        self._earlier.add(self.states.values())
        self._once.revise(self.states)
        self.states, self.graph = {}, RelationGraph()
        self._scheduler = Scheduler(self.graph)
        self._withheld = []
        self._open = 0

    def _keep(self, call: FunctionCall, state: CallState) -> Keep:
        """Take over a call of the plan before the revision, which the new one makes as ``call``."""
        self._earlier.keep(state, call)
        before, before_attempt = state.key
        if before != call.id:  # an attempt's number is never used again under one id
            state.attempt = self._attempts[call.id] = self._attempts.get(call.id, 0) + 1
        state.call = call
        state.inputs = self._keys(call.uses)
        self._add(call.id, state)
        self._scheduler.add(call.id)
        self._scheduler.begun(call.id)
        if state.status == "completed":
            self._scheduler.complete(call.id)
        elif state.status == "failed":
            self._scheduler.fail(call.id)
        return Keep(call.id, state.attempt, before, before_attempt)

    def _keep_finished(self, state: CallState) -> list[Command]:
        """At the end, what had ended before a revision, if nothing has replaced it."""
        call, function = state.call, self._functions[state.call.function]
        current = self._keys(used for used in call.uses if used in self.states)
        if state.status == "running" or call.id in self.graph or current != state.inputs:
            return []
        original = self._once.original(call, self.states)
        if original is not None and self.states[original].status == "completed":
            self.graph.add(call, function.kind, same_as=original, untrusted=function.untrusted)
            self.states[call.id], state.same_as = state, original
            return [Share(call.id, original)]
        if original is not None or state.same_as is not None:
            return []
        self.graph.add(call, function.kind, state.touch, untrusted=function.untrusted)
        return [self._keep(call, state)]

    def _cancel(self, state: CallState, at: float, why: str | None = None) -> Cancel:
        """Give up a call that runs. What others could miss is free only once it has stopped."""
        self._close(state, "cancelled", at, why)
        if state.leave():
            self._coordinator.stop(self.account, state.key, self._needs(state.call), state.lease)
        return Cancel(*state.key)

    def _cancel_all(self, at: float) -> list[Command]:
        self._coordinator.withdraw(self.account)
        commands: list[Command] = []
        for state in list(self._earlier):
            commands += self._keep_finished(state)
        for state in (*self._earlier, *self.states.values()):
            if state.status == "running":
                commands.append(self._cancel(state, at))
            elif state.status in OPEN:
                self._close(state, "cancelled")
        self.cancelled = self._finished = True
        return [*commands, Finish()]
