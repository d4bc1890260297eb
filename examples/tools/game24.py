"""Functions for the game of 24: a tree of thoughts as calls, whose breadth and depth the plan decides.

The proposer and the evaluator ask the model, and a plan spreads them over the states that look best. What the
model proposes is checked by arithmetic, so that a state is never wrong, only unpromising.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Generator  # noqa: TC003  the declarations read it
from fractions import Fraction

from llmorch import function

GOAL = 24
MAX_STATES = 12
"""The most steps that are taken from one proposal, and states that one evaluation reads."""
STEP = re.compile(
    r"(-?\d{1,9}(?:/\d{1,9})?)\s*([-+*/x\u00d7\u00f7])\s*(-?\d+(?:/\d+)?)\s*=\s*(-?\d+(?:/\d+)?)"
)
_RATINGS = {"sure": 20.0, "likely": 1.0, "impossible": 0.001}
SIGNS = {"x": "*", "\u00d7": "*", "\u00f7": "/", "\u2212": "-"}
OPERATORS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": Fraction.__add__,
    "-": Fraction.__sub__,
    "*": Fraction.__mul__,
    "/": Fraction.__truediv__,
}
_EXPRESSION = re.compile(r"[\d\s()+*/-]{5,200}")
_NODES: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
MAX_ANSWER = 2_000
"""Characters of an answer that are looked at."""


@function(asks_model=True, pure=True)
def propose(state: str) -> Generator[str, str, list[str]]:
    """Propose next steps from a state, each two of its numbers made into one; returns the new states.

    Where no step that can be made was proposed, the state itself is returned.

    Args:
        state: The numbers that are left, as in "4 4 6 8", or a state that was returned.
    """
    numbers = _left(state)
    if len(numbers) < 2:
        return [state]
    shown = " ".join(str(number) for number in numbers)
    reply = yield (
        f"Numbers: {shown}\nWrite 8 different steps towards {GOAL}. Each step takes two of these numbers and "
        "one of + - * /, as in 4 + 8 = 12. Write one step a line and nothing else."
    )
    made = (_after(state, *match.group(1, 2, 3)) for match in STEP.finditer(reply))
    found = dict.fromkeys(one for one in made if one is not None)
    return list(found)[:MAX_STATES] or [state]


@function(asks_model=True, pure=True)
def best(states: list[str], k: int = 3) -> Generator[str, str, list[str]]:
    """Evaluate states by how likely they lead to 24, and return the k best, the best first.

    There are always k, so that a plan can count on them: the last is repeated if there are fewer.

    Args:
        states: States that were returned, as a list; lists are joined by +.
        k: How many to return.
    """
    if not states:
        raise ValueError("there are no states to choose from")
    k = max(1, min(k, MAX_STATES))
    rated: list[tuple[float, str]] = []
    for state in dict.fromkeys(states[: 4 * MAX_STATES]):
        numbers = _left(state)
        if len(numbers) == 1:
            rated.append((2 * _RATINGS["sure"] if numbers[0] == GOAL else 0.0, state))
    asked = [state for state in dict.fromkeys(states) if len(_left(state)) > 1][:MAX_STATES]
    if asked and not any(rating > _RATINGS["sure"] for rating, _ in rated):
        listed = "\n".join(f"{at}. {' '.join(map(str, _left(state)))}" for at, state in enumerate(asked, 1))
        reply = yield (
            f"Can {GOAL} be reached from these numbers with + - * /?\n{listed}\n"
            "Write for each line its number and one word: sure, likely or impossible."
        )
        words = dict(re.findall(r"(\d+)\W+(sure|likely|impossible)", reply.lower()))
        rated += [(_RATINGS[words.get(str(at), "impossible")], state) for at, state in enumerate(asked, 1)]
    rated.sort(key=lambda item: -item[0])
    chosen = [state for _, state in rated[:k]]
    return chosen + chosen[-1:] * (k - len(chosen))


@function(kind="inout", pure=True)
def steps(states: list[str]) -> str:
    """The steps of the first state that has reached 24, or what the first one came to.

    Args:
        states: States that were returned, the best first.
    """
    reached = next((state for state in states if _left(state) == [GOAL]), None)
    if reached is not None:
        return reached.split(" by ", 1)[-1]
    return f"not solved: {states[0]}" if states else "not solved"


def _left(state: str) -> list[Fraction]:
    """The numbers that are left in a state."""
    try:
        return [Fraction(part) for part in state.split(" by ", 1)[0].split()]
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{state[:80]!r} is no state: write numbers, as in 4 4 6 8") from None


def _after(state: str, first: str, sign: str, second: str) -> str | None:
    """The state after a step, or ``None`` if the step can't be made."""
    left, sign = _left(state), SIGNS.get(sign, sign)
    try:
        one, other = Fraction(first), Fraction(second)
        left.remove(one)
        left.remove(other)
        made = OPERATORS[sign](one, other)
    except (ValueError, ZeroDivisionError):
        return None
    before = state.split(" by ", 1)[1] + ", " if " by " in state else ""
    numbers = " ".join(str(number) for number in sorted([*left, made]))
    return f"{numbers} by {before}{one} {sign} {other} = {made}"


def solves(puzzle: str, answer: str) -> bool:
    """Whether steps, ``4 + 8 = 12, 6 - 4 = 2, 12 * 2 = 24``, or an expression use the numbers up for 24."""
    answer = answer[:MAX_ANSWER]
    for sign, plain in SIGNS.items():
        answer = answer.replace(sign, plain)
    found = _EXPRESSION.findall(answer)
    return _steps_solve(puzzle, answer) or any(_expression_solves(puzzle, text) for text in found)


def _steps_solve(puzzle: str, answer: str) -> bool:
    left = Counter(Fraction(part) for part in puzzle.split())
    for first, sign, second, result in STEP.findall(answer):
        try:
            one, other, made = Fraction(first), Fraction(second), Fraction(result)
            if OPERATORS[sign](one, other) != made:
                return False
        except (ZeroDivisionError, ValueError):
            return False
        left.subtract([one, other])
        if min(left.values()) < 0:
            return False
        left[made] += 1
        if +left == Counter([Fraction(GOAL)]):
            return True
    return False


def _expression_solves(puzzle: str, text: str) -> bool:
    """Whether an expression over exactly the puzzle's numbers has the value 24."""
    used: list[int] = []
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body, used)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return False
    return value == GOAL and Counter(used) == Counter(int(part) for part in puzzle.split())


def _value(node: ast.expr, used: list[int]) -> Fraction:
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool) and len(used) < MAX_STATES:
            used.append(number)
            return Fraction(number)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _NODES:
            return OPERATORS[_NODES[type(sign)]](_value(left, used), _value(right, used))
        case _:
            raise ValueError("not arithmetic")
