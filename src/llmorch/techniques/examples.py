"""Examples of queries and their plans, for the prompt.

An examples file is a file of plans: before each plan stands its query, as a comment
that begins with ``# query:``; a blank line or the next query ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmorch.errors import FunctionError, PlanError
from llmorch.plan import parse, render


@dataclass(frozen=True, slots=True)
class Example:
    """A query and its plan as text, in the canonical form."""

    query: str
    plan: str


def parse_examples(text: str, *, name: str = "examples") -> tuple[Example, ...]:
    """Read an examples file.

    Raises ``FunctionError`` with the file's name and line where a plan is not one.
    """
    examples: list[Example] = []
    query: list[str] = []
    plan: list[str] = []
    first = 1

    def end() -> None:
        if not query:
            return
        try:
            # Line numbers of an error are the file's.
            parsed = parse("\n" * (first - 1) + "\n".join(plan))
        except PlanError as error:
            raise FunctionError(f"{name}: the plan for {query[0]!r} can't be read: {error}") from None
        examples.append(Example(" ".join(query), render(parsed)))
        query.clear()
        plan.clear()

    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.lower().startswith("# query:"):
            end()
            query.append(stripped[len("# query:") :].strip())
        elif stripped.startswith("#") and query and not plan:
            query.append(stripped[1:].strip())
        elif stripped and not stripped.startswith("#"):
            if not query:
                raise FunctionError(
                    f"{name}, line {number}: a plan needs its query above it, as in # query: ..."
                )
            if not plan:
                first = number
            plan.append(line)
    end()
    if not examples:
        raise FunctionError(f"{name}: there is no example in it; each begins with a line # query: ...")
    return tuple(examples)
