"""Examples of queries, their plans and their trajectories, for the prompt.

An examples file is a file of plans: before each plan stands its query, as a comment
that begins with ``# query:``; a blank line or the next query ends it. Below a plan may
stand, as comments as well, how the same query is answered in turns: lines that begin
with ``# Thought:``, ``# Action:``, ``# Observation:`` and, at last, ``# Answer:``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llmorch.errors import FunctionError, PlanError
from llmorch.plan import parse, render, render_without_id
from llmorch.techniques.steps import read_batch

_LABELLED = re.compile(r"#\s*(thought|action|observation|answer):\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Turn:
    """A thought, the call that it leads to, as text without an id, and what that call returned."""

    thought: str
    action: str
    observation: str


@dataclass(frozen=True, slots=True)
class Trajectory:
    """How a query is answered in turns (ReAct, arXiv 2210.03629): turns, a last thought, the answer."""

    turns: tuple[Turn, ...]
    conclusion: str
    answer: str


@dataclass(frozen=True, slots=True)
class Example:
    """A query and its plan as text, in the canonical form; and its trajectory, if it has one."""

    query: str
    plan: str
    trajectory: Trajectory | None = None


def parse_examples(text: str, *, name: str = "examples") -> tuple[Example, ...]:
    """Read an examples file.

    Raises ``FunctionError`` with the file's name and line where a plan, or a trajectory
    below it, is not one.
    """
    examples: list[_Lines] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.lower().startswith("# query:"):
            examples.append(_Lines(name, [stripped[len("# query:") :].strip()]))
        elif examples:
            examples[-1].take(number, line)
        elif stripped and not stripped.startswith("#"):
            raise FunctionError(f"{name}, line {number}: a plan needs its query above it, as in # query: ...")
    if not examples:
        raise FunctionError(f"{name}: there is no example in it; each begins with a line # query: ...")
    return tuple(lines.example() for lines in examples)


@dataclass
class _Lines:
    name: str
    query: list[str]
    plan: list[str] = field(default_factory=list)
    labelled: list[tuple[int, str, str]] = field(default_factory=list)
    first: int = 1
    """The line in which the plan begins."""

    def take(self, number: int, line: str) -> None:
        stripped = line.strip()
        if self.plan and (found := _LABELLED.match(stripped)):
            self.labelled.append((number, found[1].lower(), found[2].strip()))
        elif stripped and not stripped.startswith("#"):
            self.first = self.first if self.plan else number
            self.plan.append(line)
        elif stripped and not self.plan:
            self.query.append(stripped[1:].strip())

    def example(self) -> Example:
        try:
            # Line numbers of an error are the file's.
            plan = render(parse("\n" * (self.first - 1) + "\n".join(self.plan)))
        except PlanError as error:
            raise FunctionError(
                f"{self.name}: the plan for {self.query[0]!r} can't be read: {error}"
            ) from None
        return Example(" ".join(self.query), plan, self._trajectory())

    def _trajectory(self) -> Trajectory | None:
        if not self.labelled:
            return None
        turns: list[Turn] = []
        thought = action = ""
        expected: tuple[str, ...] = ("thought",)
        for number, label, text in self.labelled:
            if label not in expected or not text:
                wanted = " or ".join(f"# {one.capitalize()}: ..." for one in expected) or "a blank line"
                raise FunctionError(f"{self.name}, line {number}: {wanted} is expected here")
            if label == "thought":
                thought, expected = text, ("action", "answer")
            elif label == "action":
                action, expected = self._called(number, text), ("observation",)
            elif label == "observation":
                turns.append(Turn(thought, action, text))
                expected = ("thought",)
            else:
                expected = ()
        if expected:
            raise FunctionError(
                f"{self.name}, line {self.labelled[-1][0]}: what is told in turns ends with # Answer: ..."
            )
        return Trajectory(tuple(turns), thought, self.labelled[-1][2])

    def _called(self, number: int, text: str) -> str:
        calls = read_batch(text).calls
        if len(calls) != 1 or isinstance(calls[0], PlanError):
            why = f" ({calls[0].message})" if calls and isinstance(calls[0], PlanError) else ""
            raise FunctionError(f"{self.name}, line {number}: {text} is no call{why}")
        return render_without_id(calls[0])
