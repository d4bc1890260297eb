"""What a question set is: questions, the functions that answer them, and a check.

A set knows nothing of techniques, models or timings; ``asking`` knows nothing of what is
asked. The data itself stays in the folder that ``--data`` names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class DataMissing(Exception):
    """A file of the data is not there or can't be read: says which, and where it is published."""


@dataclass(frozen=True)
class Question:
    """One query of a set; ``answer`` is what is right, in whatever form the set's check takes."""

    id: str
    text: str
    answer: Any = None
    details: Mapping[str, Any] = field(default_factory=dict)


class QuestionSet(Protocol):
    """One benchmark's questions, all of them from files below a folder of data."""

    name: str
    examples: Path
    """A file of queries and plans for the prompt, none of them from the questions."""
    processors: int
    """How many the paper grants this set."""

    def questions(self, data: Path) -> list[Question]:
        """Every question in the order of the files. Raises ``DataMissing``."""

    def functions(self, data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
        """What may be called, decorated with ``@function``.

        ``work`` is an empty folder for what is written; ``delay`` the seconds that a remote
        lookup would take.
        """

    def right(self, question: Question, answer: Any, work: Path) -> bool:
        """Whether an answer, and what was written into ``work``, is right."""
