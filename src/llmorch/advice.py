"""What a run would have gained if functions of which nothing is declared were declared pure.

Decides when that is worth a word, and which. It must not change how anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.calls import CallId, Plan
    from llmorch.declare.functions import Function
    from llmorch.result import CallRecord

WORTH = 0.1
"""Seconds that a call waited for the rest of the plan from which that is worth a word."""
MAX_NAMED = 5
"""Calls that are named of each kind."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to tell, and the functions that it is about."""

    text: str
    functions: tuple[str, ...]


def would_gain(
    calls: Sequence[CallRecord], functions: Mapping[str, Function], *, plan: Plan, last_answers: bool
) -> Advice | None:
    """What declaring some of these functions pure would have saved; nothing if that is nothing.

    ``last_answers`` says that nobody looked at any result but the last call's.
    """
    silent = {name for name, function in functions.items() if _says_nothing(function)}
    mine = [call for call in calls if call.function in silent and call.status == "completed"]
    if not mine:
        return None
    ended = {call.id: call.completed or 0.0 for call in calls}
    used = {id_ for call in plan for id_ in call.uses}
    # What nothing uses may be made for what it does, such as a mail that is sent at the end.
    waited = [call for call in mine if call.id in used and _waited(call, ended) >= WORTH]
    same = _same(mine, plan)
    unused = [call for call in mine if last_answers and call.id not in (plan.answer, *used)]
    found = list(dict.fromkeys(call.function for call in (*waited, *same, *unused)))
    if not found:
        return None
    gains = []
    if waited:
        longest = max(_waited(call, ended) for call in waited)
        gains.append(f"{_named(waited)} waited {longest:.1f} s for the whole plan")
    if same:
        gains.append(
            f"{_named(same)} {'was' if len(same) == 1 else 'were'} made though the same as an earlier one"
        )
    if unused:
        gains.append(f"nothing uses the result of {_named(unused)}")
    one = len(found) == 1
    text = (
        f"nothing is declared of {', '.join(found)}, so {'its' if one else 'their'} calls were made as written "
        f"({'; '.join(gains)}): where a call is nothing but its result, @function(pure=True) says so"
    )
    return Advice(text, tuple(found))


def _says_nothing(function: Function) -> bool:
    """Whether nothing is said of a function's effects, and it returns something."""
    nothing = function.returns in (None, type(None))
    return not (nothing or function.effects or function.reads or function.writes)


def _waited(call: CallRecord, ended: Mapping[CallId, float]) -> float:
    """How long a call waited for nothing but the rest of the plan, in seconds."""
    if call.known is None or call.submitted is None:
        return 0.0
    before = (*call.uses, *(call.after or ()))
    return call.submitted - max(call.known, *(ended.get(id_, 0.0) for id_ in before), 0.0)


def _same(calls: Sequence[CallRecord], plan: Plan) -> list[CallRecord]:
    """Those that have a function and arguments which an earlier one has."""
    seen, found = set(), []
    for record in calls:
        call = plan[record.id]
        key = (call.function, frozenset(call.args.items()))
        if key in seen:
            found.append(record)
        seen.add(key)
    return found


def _named(calls: Sequence[CallRecord]) -> str:
    named = ", ".join(call.id for call in calls[:MAX_NAMED])
    return named if len(calls) <= MAX_NAMED else f"{named} and {len(calls) - MAX_NAMED} more"
