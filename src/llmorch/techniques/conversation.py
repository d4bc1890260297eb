"""What a technique is, what it may want, and what it gets: effects and their replies.

A technique yields an effect and receives the reply. It has no client, no clock and no
loop, so a test plays it with canned replies.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from llmorch.arguments import refuse, text, truth, whole
from llmorch.errors import EvaluationError, WrongArgument, without_middle
from llmorch.schedule.policy import policy_named
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall, Plan
    from llmorch.declare.functions import Function
    from llmorch.errors import PlanError
    from llmorch.requests import ModelRequest, ToolCall
    from llmorch.techniques.examples import Example
    from llmorch.techniques.influence import Influence

T = TypeVar("T")

MAX_CUT = 200
"""Characters that are told of an answer that was cut off."""


@dataclass(frozen=True)
class Task:
    """What a technique is given: the query, what may be called, and what the model can."""

    __repr__ = short

    query: str
    functions: Mapping[str, Function]
    examples: tuple[Example, ...]
    constrains: bool
    """Whether the model's replies can be constrained by a grammar."""
    calls_tools: bool = False
    """Whether the model can be offered tools, and call them natively."""
    repairs: int = 2
    """How often a plan that can't be run is given back to the model."""
    translations: int = 2
    """How often a query is translated anew after those repairs."""
    turns: int = 25
    """How often a technique that thinks in turns asks the model."""
    replans: int = 2
    """How often a technique may plan again in the light of results."""
    tried: list[Recovery] = field(default_factory=list)
    """What was tried after something went wrong, so far; it outlives a conversation that is cut short."""
    replan: bool = False
    """Whether ``llmorch`` has results judged, and plans again."""
    recoveries: int = 0
    """How many attempts to recover one failed call may have; the last replans the rest."""
    influence: Influence | None = None
    """What the model has read, and which of its calls may be made then; none where everything is allowed."""
    optimize: bool = True
    """Whether pure calls that are the same are made once, and those that nothing uses not at all."""


@dataclass(frozen=True, slots=True)
class AskModel:
    """Ask, and wait for the whole ``Reply``."""

    __repr__ = short

    request: ModelRequest


@dataclass(frozen=True, slots=True)
class WritePlan:
    """Ask for a plan. The reply is a ``Draft``.

    Calls may start while the text still arrives; a later ``WritePlan`` or ``RunPlan``
    revises what was begun. The plan may use the results of plans that were run before, and
    ``{query}`` in its strings stands for ``query``. ``above`` are lines that the reply goes
    on from; one that writes their calls again is the whole plan.
    """

    __repr__ = short

    request: ModelRequest
    query: str
    above: str = ""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Run this plan to its end, after those before it. The reply is an ``Outcome``.

    With ``until`` the reply comes as soon as a call has failed and ``until`` says yes to
    the outcome so far; what runs goes on. Of the ``unused`` calls, whose results nobody
    looks at, those that have not begun are left out.
    """

    __repr__ = short

    plan: Plan
    until: Callable[[Outcome], bool] | None = None
    unused: frozenset[CallId] = frozenset()


@dataclass(frozen=True, slots=True)
class Revise:
    """Run this plan instead of the one that was run last, as ``RunPlan`` does.

    Calls that both make keep running, or keep their results; all others are cancelled.
    """

    __repr__ = short

    plan: Plan
    until: Callable[[Outcome], bool] | None = None
    unused: frozenset[CallId] = frozenset()
    withheld: tuple[FunctionCall, ...] = ()
    """Calls that belong to the plan and wait for what is decided next."""


@dataclass(frozen=True, slots=True)
class Look:
    """Say how the plan stands: calls go on while a model replies."""

    __repr__ = short


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply; ``reason`` is ``length`` when the limit of tokens cut it off.

    ``refused`` says that the model takes no tools after all: ask without. ``thoughts`` says
    that it had some, which are left out.
    """

    __repr__ = short

    text: str
    reason: Literal["stop", "length"] = "stop"
    calls: tuple[ToolCall, ...] = ()
    refused: bool = False
    thoughts: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan as the model wrote it: checked, or with the first error in it."""

    __repr__ = short

    text: str
    plan: Plan | None = None
    error: PlanError | None = None
    above: str = ""
    """The lines above the error, if they are right and a repair can go on from them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running came to, of every plan so far: results by call id, and errors of the rest.

    ``failed`` are the calls that failed themselves; ``begun`` those that were started, or
    that another one which was started is made for, and may have left something behind
    whatever came of them. ``shown`` are texts that a model sees instead of results,
    where functions say so. ``unanswered`` are those of the failed that a model's server
    didn't answer: no other call in their place would be.
    """

    __repr__ = short

    plan: Plan
    results: Mapping[CallId, Any]
    errors: Mapping[CallId, str]
    failed: tuple[CallId, ...] = ()
    begun: frozenset[CallId] = frozenset()
    shown: Mapping[CallId, str] = field(default_factory=dict)
    unanswered: frozenset[CallId] = frozenset()

    def unopened(self, call: CallId) -> Any:
        """A result that is only passed on: as it came, where nobody has opened it. Raises ``EvaluationError``."""
        as_it_came = getattr(self.results, "unopened", self.results.__getitem__)
        return as_it_came(call)


@dataclass(frozen=True, slots=True)
class Recovery:
    """One attempt to go on after something went wrong.

    ``retry`` makes a call again, ``repair`` mends a text, ``recover`` calls of a plan that
    runs, and ``replan`` asks for other calls in the light of results. ``failed`` are the
    calls it is about; ``changed`` has the new text of calls by their ids, and ``again`` the
    calls that were made again.
    """

    __repr__ = short

    kind: Literal["retry", "repair", "recover", "replan"]
    why: str
    failed: tuple[CallId, ...] = ()
    changed: Mapping[CallId, str] = field(default_factory=dict)
    again: tuple[CallId, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a technique comes to: an answer, or why there is none."""

    __repr__ = short

    answered: bool
    value: Any = None
    error: str | None = None
    recoveries: tuple[Recovery, ...] = ()
    notes: tuple[str, ...] = ()
    """What somebody should know about the answer."""


def answer_of(outcome: Outcome, recoveries: tuple[Recovery, ...] = ()) -> Answer:
    """The result of a plan's last call; without it, the errors tell why, or why there was no recovery."""
    last = outcome.plan.answer
    try:
        value = outcome.unopened(last) if last in outcome.results else None
    except EvaluationError as error:  # a large one, which can be opened in other processes only
        return Answer(False, error=str(error), recoveries=recoveries)
    given_up = [item.why for item in recoveries[-1:] if item.failed and not item.changed]
    return Answer(
        last in outcome.results,
        value,
        error=None if last in outcome.results or not given_up else given_up[0],
        recoveries=recoveries,
    )


def answered(reply: Reply, text: str, recoveries: Sequence[Recovery]) -> Answer:
    """The answer that a reply gives; one that was cut off is none, for nobody can tell what it lacks."""
    if reply.reason == "length":
        said = f"the answer was cut off at the limit of tokens: {without_middle(text, MAX_CUT)}"
        return Answer(False, error=said, recoveries=tuple(recoveries))
    return Answer(True, text, recoveries=tuple(recoveries))


Effect: TypeAlias = AskModel | WritePlan | RunPlan | Revise | Look
Conversation: TypeAlias = Generator[Effect, Any, T]


@dataclass(frozen=True)
class Technique:
    """A way to converse with the model, and the policy that its paper coordinates calls by.

    ``play`` is a generator function. It is given a ``Task``, yields what it wants, receives what
    came of that (``AskModel`` a ``Reply``, ``WritePlan`` a ``Draft``, ``RunPlan``, ``Revise`` and
    ``Look`` an ``Outcome``), and returns an ``Answer``. It promises

    * to do nothing else: no waiting, no clock, no client, no chance, so that the same replies lead
      to the same calls;
    * to end whatever the model replies: it counts how often it asks;
    * to run only plans that the task's functions can take, as those of a ``Draft`` and of ``check`` are;
    * to give every call that it runs an id of its own, also among several plans;
    * to raise only ``UnresolvedQuery``: whatever else goes wrong is in the ``Answer``.

    In return it may be closed at any ``yield``, and nothing that it began outlives it.
    """

    name: str
    play: Callable[[Task], Conversation[Answer]]
    policy: str = "critical"
    """The name of the policy by which its calls are ordered, unless somebody says otherwise."""
    plans: bool = True
    """Whether what it runs first is a plan for all of the query; a technique in turns makes none."""
    recoveries: int = 0
    """The ``recoveries`` of its tasks, unless somebody says otherwise."""
    last_answers: bool = False
    """Whether its answer is the last call's result, and no model looks at any other, unless told to ``replan``."""

    def __post_init__(self) -> None:
        """Raise ``WrongArgument`` for what can't be played."""
        text("name of a technique", self.name)
        if not callable(self.play):
            refuse("play of a technique", "a generator function", self.play)
        try:
            policy_named(self.policy)
        except WrongArgument as error:
            raise WrongArgument(f"technique {self.name}: {error}") from None
        truth("plans of a technique", self.plans)
        whole("recoveries of a technique", self.recoveries, 0, 20)
        truth("last_answers of a technique", self.last_answers)
