"""What an orchestrator and its runs are given, refused at once where it can't be.

Decides what each setting may be, and says what to write instead: everything is a ``WrongArgument``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from llmorch.arguments import LONGEST, called, number, positive, refuse, truth, whole
from llmorch.calls import Plan
from llmorch.declare.functions import SELF
from llmorch.declare.offered import as_functions, self_function
from llmorch.declare.text import brief, one_line
from llmorch.errors import EmptyPlan, UnresolvedQuery, WrongArgument
from llmorch.machine import as_lines, file_bytes
from llmorch.plan import parse
from llmorch.processors import Processors
from llmorch.requests import Usage
from llmorch.schedule import POLICIES, policy_named
from llmorch.techniques import TECHNIQUES, Technique, parse_examples
from llmorch.techniques.influence import Influence, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.declare.resources import Amount
    from llmorch.models.model import Model
    from llmorch.runtime.confirm import Confirm
    from llmorch.runtime.observers import Observer
    from llmorch.schedule import Policy

_OF_A_POLICY = ("push", "pop", "along", "offered", "drop", "reorder", "clear")

OBSERVER = "a function of a message and a time"
MOST_TIMES = 20
_MOST_EXAMPLES = 16_000_000
"""Bytes of a file of examples."""
"""The most repairs of a plan, and the most attempts to recover."""


def processors_of(
    said: int | Processors | None, resources: Mapping[str, Amount | Sequence[Amount]] | None
) -> Processors:
    """What runs are made on: processors of their own, or those that are given."""
    if not isinstance(said, Processors):
        return Processors(said, resources=resources)
    if resources is not None:
        raise WrongArgument("resources are those of the Processors that are given: say them there")
    return said


def technique_of(said: str | Technique) -> Technique:
    """A technique by its name, or itself."""
    if isinstance(said, Technique):
        return said
    if not isinstance(said, str) or said not in TECHNIQUES:
        raise WrongArgument(f"there is no technique {brief(said)}; there are {', '.join(TECHNIQUES)}")
    return TECHNIQUES[said]


def policies_of(said: str | Callable[[], Policy]) -> Callable[[], Policy]:
    """What makes a policy for each run, by a name, or itself."""
    if callable(said):
        first: list[Policy] = []
        return partial(_made_by, said, first)
    if hasattr(said, "pop"):
        raise WrongArgument(
            f"policy is a name, or what makes a policy for each run: give the class, not an object, {brief(said)}"
        )
    if not isinstance(said, str) or said not in POLICIES:
        raise WrongArgument(f"there is no policy {brief(said)}; there are {', '.join(POLICIES)}")
    return partial(policy_named, said)


def _made_by(said: Callable[[], Policy], first: list[Policy]) -> Policy:
    """A policy for one run; ``first`` has the first one that was made, by which its name is known."""
    try:
        made = said()
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise WrongArgument(f"policy can't make a policy: {reason}") from error
    lacking = [name for name in _OF_A_POLICY if not callable(getattr(made, name, None))]
    if lacking or not isinstance(getattr(made, "name", None), str):
        without = ", ".join(lacking or ["name"])
        raise WrongArgument(f"policy makes a {type(made).__name__}, which is no Policy: it has no {without}")
    if any(made is one for one in first):
        raise WrongArgument("policy makes a new policy for each run, and not the same one again")
    first[:] = first or [made]
    return made


def influence_of(
    said: Rule | None, confirm: Confirm | None, technique: Technique, *, strict: bool
) -> Callable[[Mapping[str, Function]], Influence]:
    """What makes, for a run of these functions, what decides about calls that a model wrote under influence."""
    called("confirm", confirm, "a function of a Proposal that returns True or False")
    truth("strict", strict)
    if said is not None and (not isinstance(said, str) or said not in get_args(Rule)):
        refuse("influence", '"refuse", "ask" or "allow"', said)
    if said == "ask" and confirm is None:
        raise WrongArgument('influence="ask" needs somebody to ask: give confirm=, a function of a Proposal')
    rule: Rule = "refuse" if technique.plans else "allow" if confirm is None else "ask"
    return partial(Influence, rule=said or rule, strict=strict, told=said is None)


def offered(functions: Iterable[object], model: Model, processors: Processors) -> dict[str, Function]:
    """The functions that plans may call, by name, as they are on these processors and with this model."""
    kind = model.kind
    found = {
        name: replace(item, kind=kind) if item.asks_model else item
        for name, item in processors.fitting(as_functions(functions)).items()
    }
    found[SELF] = self_function(kind)
    return found


def times_of(name: str, said: int) -> int:
    """How often something may be tried again."""
    return whole(name, said, 0, MOST_TIMES)


def check_run(
    *,
    priority: float = 1.0,
    observer: Observer | None = None,
    deadline: float | None = None,
    max_tokens: int | None = None,
    wrote: Callable[[str], None] | None = None,
) -> None:
    """Raise ``WrongArgument`` for what no run can be given."""
    positive("priority", priority, most=1e9)
    called("observer", observer, OBSERVER)
    if observer is not None and not _takes_two(observer):
        refuse("observer", OBSERVER, observer)
    called("wrote", wrote, "a function of a text")
    if deadline is not None:
        positive("deadline", deadline, " of seconds", most=LONGEST)
    if max_tokens is not None:
        whole("max_tokens", max_tokens, 1, 2**63)


def _takes_two(observer: Observer) -> bool:
    """Whether it can be called with two arguments, as far as its signature tells."""
    try:
        signature(observer).bind(None, 0.0)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True


def plan_of(said: str | Plan) -> Plan:
    """The plan of a text, or itself. Raises ``PlanError``."""
    if not isinstance(said, str | Plan):
        refuse("plan", "a text or a Plan", said)
    plan = parse(said) if isinstance(said, str) else said
    if not plan.calls:
        raise EmptyPlan("the plan has no call")
    return plan


def check_usage(name: str, said: Usage | None) -> None:
    """Raise ``WrongArgument`` for what is no ``Usage``."""
    if said is not None and not isinstance(said, Usage):
        refuse(name, "a Usage", said)


def without_plan(technique: str) -> UnresolvedQuery:
    """What is said where a plan is asked of a technique that makes none."""
    named = ", ".join(name for name, known in TECHNIQUES.items() if known.plans)
    return UnresolvedQuery(f"{technique} thinks in turns and makes no plan; these do: {named}")


def asked_as(technique: Technique, model: Model, *, replan: bool) -> dict[str, str]:
    """What a technique's own requests are learned as, before the plan and after it."""
    again = " with replan" if replan else ""
    whens = ("planning", "after it") if technique.plans else ()
    return {when: f"{technique.name}{again}, {when}, asking {model.name}" for when in whens}


def prices_of(said: Sequence[float] | None, model: Model) -> tuple[float, float] | None:
    """The prices of a million tokens in, and of a million out; a model on this machine costs nothing."""
    if said is None:
        return (0.0, 0.0) if model.kind == "compute" else None
    try:
        price_in, price_out = [number("prices", price) for price in said]
    except (TypeError, ValueError):
        refuse("prices", "two numbers, of a million tokens in and of a million tokens out", said)
    return price_in, price_out


def examples_in(said: str | Path) -> Any:
    """The examples in a file."""
    if not isinstance(said, str | Path):
        refuse("examples", "the path of a file", said)
    path = Path(said)
    try:
        text = as_lines(file_bytes(path, _MOST_EXAMPLES))
    except (OSError, ValueError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise WrongArgument(f"the examples {one_line(path)} can't be read: {reason}") from None
    return parse_examples(text, name=str(path))
