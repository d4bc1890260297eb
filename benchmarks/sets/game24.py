"""Game of 24: a tree of thoughts as calls, whose breadth and depth the plan decides.

As in the LLMCompiler paper, the proposer and the evaluator are functions that ask the
model, and a plan spreads them over the states that look best; a technique that replans
goes on from what earlier plans found. What the model proposes is checked by arithmetic,
so that a state is never wrong, only unpromising.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing, Question, QuestionSet, rows_of
from examples.tools.game24 import GOAL, best, propose, solves, steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUBLISHED = "the puzzles are published at https://github.com/princeton-nlp/tree-of-thought-llm (MIT)"


def questions(data: Path) -> list[Question]:
    """One question a puzzle of ``game24/puzzles.csv``."""
    path = data / "game24" / "puzzles.csv"
    puzzles = [puzzle for (puzzle,) in rows_of(path, PUBLISHED, "Puzzles")]
    if not puzzles or not all(re.fullmatch(r"\d{1,3}( \d{1,3}){3}", puzzle) for puzzle in puzzles):
        raise DataMissing(f"{path}: a puzzle is four numbers, as in 1 2 3 4; {PUBLISHED}")
    asked = f"Get {GOAL} from the numbers {{}} with + - * and /, each number used once."
    return [
        Question(puzzle.replace(" ", "-"), asked.format(puzzle), puzzle) for puzzle in dict.fromkeys(puzzles)
    ]


def functions(data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
    """The proposer, the evaluator, and what tells the steps."""
    return [propose, best, steps]


def right(question: Question, answer: Any, work: Path) -> bool:
    """Whether the answer's steps lead from the puzzle's numbers to 24."""
    return solves(str(question.answer), str(answer))


SET = QuestionSet("game24", 2, questions, functions, right)
