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
from llmorch.techniques.reading import read_batch

_TOLD = re.compile(r"#\s*(thought|action|observation|answer):\s*(.*)", re.IGNORECASE)


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
    """A query and its plan as text, in the canonical form; and its trajectory, if that is told."""

    query: str
    plan: str
    trajectory: Trajectory | None = None


def parse_examples(text: str, *, name: str = "examples") -> tuple[Example, ...]:
    """Read an examples file.

    Raises ``FunctionError`` with the file's name and line where a plan, or what is told in
    turns, is not one.
    """
    reading = _Reading(name)
    for number, line in enumerate(text.splitlines(), 1):
        reading.read(number, line)
    reading.end()
    if not reading.examples:
        raise FunctionError(f"{name}: there is no example in it; each begins with a line # query: ...")
    return tuple(reading.examples)


@dataclass
class _Reading:
    """What has been read of a file, and of the example that has not ended yet."""

    name: str
    examples: list[Example] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)
    told: list[tuple[int, str, str]] = field(default_factory=list)
    first: int = 1
    """The line in which the plan begins."""

    def read(self, number: int, line: str) -> None:
        stripped = line.strip()
        found = _TOLD.match(stripped)
        if stripped.lower().startswith("# query:"):
            self.end()
            self.query.append(stripped[len("# query:") :].strip())
        elif found and self.plan:
            self.told.append((number, found[1].lower(), found[2].strip()))
        elif stripped.startswith("#") and self.query and not self.plan:
            self.query.append(stripped[1:].strip())
        elif stripped and not stripped.startswith("#"):
            if not self.query:
                raise FunctionError(
                    f"{self.name}, line {number}: a plan needs its query above it, as in # query: ..."
                )
            if not self.plan:
                self.first = number
            self.plan.append(line)

    def end(self) -> None:
        """Keep the example that has been read, if there is one."""
        if not self.query:
            return
        try:
            # Line numbers of an error are the file's.
            plan = render(parse("\n" * (self.first - 1) + "\n".join(self.plan)))
        except PlanError as error:
            raise FunctionError(
                f"{self.name}: the plan for {self.query[0]!r} can't be read: {error}"
            ) from None
        self.examples.append(Example(" ".join(self.query), plan, self._trajectory()))
        self.query.clear()
        self.plan.clear()
        self.told.clear()

    def _trajectory(self) -> Trajectory | None:
        if not self.told:
            return None
        turns: list[Turn] = []
        thought = action = ""
        expected: tuple[str, ...] = ("thought",)
        for number, label, text in self.told:
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
                f"{self.name}, line {self.told[-1][0]}: what is told in turns ends with # Answer: ..."
            )
        return Trajectory(tuple(turns), thought, self.told[-1][2])

    def _called(self, number: int, text: str) -> str:
        calls = read_batch(text).calls
        if len(calls) != 1 or isinstance(calls[0], PlanError):
            why = f" ({calls[0].message})" if calls and isinstance(calls[0], PlanError) else ""
            raise FunctionError(f"{self.name}, line {number}: {text} is no call{why}")
        return render_without_id(calls[0])
