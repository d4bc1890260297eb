"""What goes into the core (events, past tense) and what comes out (commands, imperative), each of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from llmorch.values import value

if TYPE_CHECKING:
    from llmorch.calls import CallId, FunctionCall
    from llmorch.relations import Touch


@value()
class PlanExtended:
    """More of the plan is known.

    ``complete`` says that no more will come before all of it has ended. After that the
    plan may go on: a technique that thinks in turns adds the calls of the next one.
    ``unused`` are calls of a complete plan that needn't be made, unless they have begun.
    ``refused`` says, by call, why it may not be made: one of these fails, unless it was made already.
    """

    calls: tuple[FunctionCall, ...]
    complete: bool = False
    unused: frozenset[CallId] = frozenset()
    refused: tuple[tuple[CallId, str], ...] = ()


@value()
class CallAdded:
    """A call that is no part of a plan: it is made as soon as nothing that came before is in its way.

    ``touch`` is what it reads and writes. One that is ``alone`` is made together with no other.
    """

    call: FunctionCall
    touch: Touch
    alone: bool = False


@value()
class PlanRevised:
    """The plan so far is void; ``PlanExtended`` tells the new one from its first call.

    A call that the new plan still makes, of the same arguments and from the same inputs,
    keeps running or keeps its result, whatever its id; any other is cancelled.
    """


@value()
class CallCompleted:
    """A call returned; its result is the driver's to keep."""

    call: CallId
    attempt: int


@value()
class CallFailed:
    """A call raised, timed out, or could not be made."""

    call: CallId
    attempt: int
    error: str


@value()
class BatchEnded:
    """Calls that were dispatched together ended together: what they make ready is ready at once."""

    calls: tuple[CallCompleted | CallFailed, ...]


@value()
class CallCancelled:
    """The caller doesn't want a call, and nothing of it runs: it was stopped, or hasn't begun.

    What depends on it can't run either. No later plan may make it again.
    """

    call: CallId
    attempt: int


@value()
class EffectsKnown:
    """What a call touches turned out, with its arguments, to be less than it could have been."""

    call: CallId
    touch: Touch


@value()
class ModelOccupied:
    """The model works for the plan itself, on one of this machine's processors."""


@value()
class ModelReleased:
    """The model has finished what ``ModelOccupied`` announced."""


@value()
class CallStopped:
    """Nothing of an attempt that was cancelled runs any more."""

    call: CallId
    attempt: int


@value()
class TimePassed:
    """The time is over that ``Wake`` named."""


@value()
class CancelRequested:
    """Nobody wants the answer any more."""


Event: TypeAlias = (
    PlanExtended
    | CallAdded
    | PlanRevised
    | CallCompleted
    | CallFailed
    | BatchEnded
    | CallCancelled
    | EffectsKnown
    | ModelOccupied
    | ModelReleased
    | CallStopped
    | TimePassed
    | CancelRequested
)


@value()
class Dispatch:
    """Start a call: a compute call on ``processor``, an inout call anywhere (``None``).

    ``beside`` are further processors that it occupies, ``device`` is the number of its GPU.
    ``together`` are further calls of the same function that are made with it, as one: each
    with its attempt, and all in this one command.
    """

    call: CallId
    attempt: int
    processor: int | None
    beside: tuple[int, ...] = ()
    device: int | None = None
    together: tuple[tuple[CallId, int], ...] = ()


@value()
class Cancel:
    """Stop a call that runs, and forget what it would have returned."""

    call: CallId
    attempt: int


@value()
class Wake:
    """A call waits for its rate: say ``TimePassed`` after so many seconds, since nothing else may happen until then."""

    after: float


@value()
class Keep:
    """An attempt of the plan before a revision is this call's now, with its result if it has one."""

    call: CallId
    attempt: int
    before: CallId
    before_attempt: int


@value()
class Share:
    """A call is deduplicated: it is complete without being made, with the result of the one it is a copy of."""

    call: CallId
    same_as: CallId


@value()
class Refuse:
    """A call has failed without being made: it may not be, or what it needs never becomes free for it."""

    call: CallId
    error: str


@value()
class Abort:
    """The run can't go on, for its policy broke a promise: all that runs is stopped, and the caller hears why."""

    error: str


@value()
class Finish:
    """Nothing runs and nothing more can: tell the caller."""


Command: TypeAlias = Dispatch | Cancel | Wake | Keep | Share | Refuse | Abort | Finish
