"""One dispatch: a call, or several as one, from the first attempt to what is reported of its end.

Decides when a call that failed is made again (a call keeps its processor while it pauses, so
that nothing has to be scheduled anew), and what is reported of one that was stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol

from llmorch.declare.text import brief
from llmorch.errors import CallError
from llmorch.places.failure import line_of
from llmorch.places.port import End, Handle, Here, Job
from llmorch.runtime.logs import log
from llmorch.runtime.retries import Retried, in_time, next_pause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.places.port import Place, Work
    from llmorch.schedule import Caller, Dispatch

REPORTED_BY = 30.0
"""Seconds in which a place reports the end of a job that it was to stop."""
_CHANCE = Random()


class Driver(Protocol):
    """The driver of the run, as far as a dispatch needs it."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    retried: list[Retried]
    """The attempts that failed and were followed by another, as that one began."""
    notes: dict[str, str]
    """By function, what there is to say of where its calls ran."""

    def guard(self, step: Callable[..., None], *args: Any) -> None:
        """Take a step in a callback of the event loop."""

    def again(self, function: Function) -> float:
        """Seconds until one more attempt of a call may begin; it is counted to its rate if that is 0."""

    def ended(self, ended: Sequence[tuple[Attempt, End]]) -> None:
        """Take what calls came to."""

    def finish(self, made: Made, reported: Sequence[tuple[Attempt, End]]) -> None:
        """Take note that nothing of a dispatch runs any more, and what its last calls came to."""


class Attempt:
    """One call of a dispatch, as long as it runs. A revised plan may give it another id meanwhile."""

    __slots__ = ("call", "given_up", "key", "made", "unwanted")

    def __init__(self, call: FunctionCall, number: int, made: Made) -> None:
        self.call = call
        self.key = call.id, number
        """What tells it from every other attempt now."""
        self.made = made
        self.unwanted = False
        """Whether the caller cancelled it, and it hasn't ended yet."""
        self.given_up = False
        """Whether the core cancelled it."""

    def become(self, call: FunctionCall, number: int) -> None:
        """Know what it is in a revised plan."""
        self.call, self.key = call, (call.id, number)

    def cancel(self) -> None:
        """Stop it, if no call that is made with it is wanted."""
        self.made.cancel()


class Made:
    """What was dispatched together, as one job."""

    __slots__ = ("_began", "_bound", "_current", "_driver", "_inputs", "_number", "_place", "_timer", "_waits", "_work",
                 "attempts", "caller", "device", "function", "over", "processors", "stops")  # fmt: skip

    def __init__(
        self,
        driver: Driver,
        function: Function,
        place: Place,
        calls: Sequence[tuple[FunctionCall, int]],
        inputs: Mapping[CallId, Handle],
        command: Dispatch,
    ) -> None:
        self.function = function
        self.attempts = [Attempt(call, number, self) for call, number in calls]
        self.processors = () if command.processor is None else (command.processor, *command.beside)
        self.device = command.device
        self.stops = True
        """Whether it ends soon when it is cancelled: a thread doesn't."""
        self.over = False
        self.caller: Caller | None = None
        """What runs that are begun within it know of it."""
        self._driver = driver
        self._place = place
        self._inputs = inputs
        self._current = self.attempts
        self._number = 1
        self._began = driver.clock() if function.retries else 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._bound: asyncio.TimerHandle | None = None
        """When a place that was to stop it has to have reported."""
        self._work: Work | None = None
        self._waits = False
        """Whether the place has to report how what was begun ended."""

    def begin(self) -> None:
        """Make what is still to be made; how that ended comes to ``_ended``, on the event loop."""
        calls = tuple([attempt.call for attempt in self._current])
        job = Job(self.function, calls, self._inputs, self.processors, self.device)
        self._waits = True
        try:
            work = self._place.begin(job, self._ended)
        except BaseException as error:  # of a place that breaks its promises: the call can't be made there
            how = f"it raised {line_of(error)}"
            if not isinstance(error, Exception | asyncio.CancelledError):
                self._driver.loop.call_soon(self._ended, self._broken(how))
                raise
            log.exception("a place raised as it began a call of %s", self.function.name)
        else:
            if callable(getattr(work, "cancel", None)):
                self._work = work
                return
            how = f"its begin returned {brief(work)}, and no Work, which has cancel()"
        self._driver.loop.call_soon(self._ended, self._broken(how))

    def _broken(self, how: str) -> list[End]:
        text = f"{self.function.name} can't be called: its place broke its promises: {how}"
        return [End(error=CallError(text))] * len(self._current)

    def _ended(self, ends: Sequence[End]) -> None:
        """Hear from the place, once; of what can't be stopped and nobody waits for, on any thread."""
        if self.over or not self._waits:
            return
        if not self.stops:
            self._finish()
        elif asyncio._get_running_loop() is not self._driver.loop:
            self._driver.loop.call_soon_threadsafe(self._driver.guard, self._ended, ends)
        else:
            self._waits = False
            wrong = _wrong(ends, len(self._current))
            self._driver.guard(self._take, self._broken(wrong) if wrong else ends)

    def _take(self, ends: Sequence[End]) -> None:
        self._work = None
        reported = []
        again: list[tuple[Attempt, End, float]] = []
        since = self._driver.clock() - self._began if self.function.retries else 0.0
        for attempt, end in zip(self._current, ends, strict=True):
            if attempt.given_up or attempt.unwanted:
                continue
            if end.error is None:
                reported.append((attempt, end))
            elif (pause := self._pause(end.error, since)) is None:
                reported.append((attempt, self._counted(end)))
            else:
                again.append((attempt, end, pause))
        if not again:
            self._finish(reported)
            return
        self._driver.ended(reported)
        longest = max(pause for _, _, pause in again)
        self._timer = self._driver.loop.call_later(longest, self._driver.guard, self._again, again, longest)

    def _pause(self, error: CallError, since: float) -> float | None:
        if not self.function.retries:
            return None
        kinds = error.kinds if isinstance(error, CallError) else ()
        return next_pause(self.function, kinds, attempt=self._number, since=since, chance=_CHANCE)

    def _again(self, failed: list[tuple[Attempt, End, float]], pause: float) -> None:
        """Make once more what failed, unless it has become too late, or its rate is used up."""
        wanted = [(attempt, end) for attempt, end, _ in failed if not (attempt.given_up or attempt.unwanted)]
        if not wanted or not in_time(self._driver.clock() - self._began):  # a pause may have lasted longer
            self._finish([(attempt, self._counted(end)) for attempt, end in wanted])
            return
        if wait := self._driver.again(self.function):
            self._timer = self._driver.loop.call_later(wait, self._driver.guard, self._again, failed, pause)
            return
        self._timer = None
        for attempt, end in wanted:
            self._driver.retried.append(
                Retried(attempt.call.id, self.function.name, self._number, str(end.error), pause)
            )
        self._number += 1
        self._current = [attempt for attempt, _ in wanted]
        self.begin()

    def _counted(self, end: End) -> End:
        """The last failure of a call, with the number of attempts."""
        if end.error is None or self._number == 1:
            return end
        text = f"{end.error} (after {self._number} attempts)"
        return End(error=CallError(text, detail=end.error.detail, kinds=end.error.kinds), usage=end.usage)

    def _finish(self, reported: Sequence[tuple[Attempt, End]] = ()) -> None:
        self.over = True
        if self._bound is not None:
            self._bound.cancel()
        if self.caller is not None:
            self.caller.over = True
        self._driver.finish(self, reported)
        # Attempts lead here: large values of the run need not wait for the collector of cycles.
        self.attempts, self._current, self._inputs, self._work = [], [], {}, None

    @property
    def wanted(self) -> bool:
        """Whether anybody wants what comes of any of its calls."""
        return any(not (attempt.given_up or attempt.unwanted) for attempt in self.attempts)

    def cancel(self) -> None:
        """Stop it, unless something of it is wanted."""
        if self.over or self.wanted:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._driver.loop.call_soon(self._driver.guard, self._finish)
        elif self._work is not None:
            try:
                self.stops = self._work.cancel()
            except Exception:
                log.exception("a place raised as it was to stop a call of %s", self.function.name)
                self._driver.loop.call_soon(self._driver.guard, self._never_reported)
                return
            if self.stops and self._bound is None:
                self._bound = self._driver.loop.call_later(
                    REPORTED_BY, self._driver.guard, self._never_reported
                )

    def _never_reported(self) -> None:
        """Wait no longer for a place that said that it would stop this, or that failed to."""
        if self.over:
            return
        text = (
            f"{self.function.name} was stopped, and its place never told how it ended: it may still run there"
        )
        log.error(text)
        self._driver.notes[self.function.name] = text
        self._finish()


def _wrong(ends: object, count: int) -> str:
    """What is wrong with what a place reported of so many calls; empty if nothing is."""
    if isinstance(ends, (tuple, Sequence)):
        for end in ends:
            if not isinstance(end, End) or (end.value is None) == (end.error is None):
                break
            if end.error is None and type(end.value) is not Here and not isinstance(end.value, Handle):
                return f"the value of its End is {brief(end.value)}, and no Handle, such as Here(value)"
            if end.value is None and not isinstance(end.error, CallError):
                return f"the error of its End is {brief(end.error)}, and no CallError"
        else:
            return "" if len(ends) == count else f"it told {len(ends)} ends of {count} calls"
    return "it told something else than an End with a value or an error for each call"
