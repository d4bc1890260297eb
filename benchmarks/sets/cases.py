"""The paper's three case studies, as the folder ``examples`` has them: one question each.

Their functions differ, so each case is a question set of its own. ``SET`` puts the three
questions together; which set a question belongs to is its ``details["set"]``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing, Question, QuestionSet
from llmorch.places.files import load_file

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WORDS = 30  # more than these is a report; fewer are a remark
LEAST = 3  # words of the matter in a report on it
AROUND = 44  # bytes that encryption puts around a file: salt, nonce and tag


@dataclass(frozen=True)
class Case:
    """One example folder: its functions, words of a report on the matter, and files that are to be encrypted."""

    name: str
    processors: int
    offered: tuple[str, ...]
    about: tuple[str, ...]
    encrypts: tuple[str, ...] = ()

    @property
    def examples(self) -> Path:
        return EXAMPLES / self.name / "examples.plans"

    def questions(self, data: Path) -> list[Question]:
        """The example's query."""
        path = EXAMPLES / self.name / "query.txt"
        if not path.is_file():
            raise DataMissing(f"{path}: there is no such file; the examples are part of LLMOrch's repository")
        return [Question(self.name, path.read_text(encoding="utf-8").strip(), details={"set": self})]

    def functions(self, data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
        """The example's functions, in a copy of its folder below ``work``: what they write goes there."""
        if self.encrypts and find_spec("cryptography") is None:
            raise DataMissing(f"{self.name}: cryptography is not installed; pip install cryptography")
        copy, ignored = work.resolve() / self.name, shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(EXAMPLES / self.name, copy, ignore=ignored, dirs_exist_ok=True)
        # By its path, so that worker processes find the same file under the same name.
        module = load_file(copy / "functions.py")
        return [getattr(module, name) for name in self.offered]

    def right(self, question: Question, answer: Any, work: Path) -> bool:
        """Whether the answer is a report on the matter, and every file is encrypted."""
        if not isinstance(answer, str) or len(answer.split()) <= WORDS:
            return False
        if sum(word in answer.lower() for word in self.about) < LEAST:
            return False
        return all(self._encrypted(file, work) for file in self.encrypts)

    def _encrypted(self, file: str, work: Path) -> bool:
        """Whether a file lies encrypted where the example writes: as long as it has to be, and unlike it."""
        made = work.resolve() / self.name / ".llmorch"
        places = (made, EXAMPLES / self.name)
        plain = next((place / file for place in places if (place / file).is_file()), None)
        secret = made / f"{file}.aes"
        if plain is None or not secret.is_file() or secret.stat().st_size != plain.stat().st_size + AROUND:
            return False
        with plain.open("rb") as one, secret.open("rb") as other:
            return one.read(1024) not in other.read(1 << 20)


_SEO = "seo title description heading link keyword content canonical image"
_PURCHASE = "apple iphone product purchase user price"
_TEXTS = "encrypt entropy video text chat size byte ratio second speed"
CASES = (
    Case("seo_audit", 2, ("search", "chatbot", "python"), tuple(_SEO.split())),
    Case("purchase_intent", 3, ("search", "chatbot", "python"), tuple(_PURCHASE.split())),
    Case("encryption", 2, ("chatbot", "aes"), tuple(_TEXTS.split()), ("myvideo.mp4", "chat.txt")),
)


def questions(data: Path) -> list[Question]:
    """The three queries; ``data`` isn't looked at."""
    return [question for case in CASES for question in case.questions(data)]


def functions(data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
    """There are none for all three questions: they are those of the set in a question's ``details``."""
    raise TypeError('the functions differ: question.details["set"].functions(data, work)')


def right(question: Question, answer: Any, work: Path) -> bool:
    """As the question's own set says."""
    case: Case = question.details["set"]
    return case.right(question, answer, work)


SET = QuestionSet("cases", 2, questions, functions, right, CASES[0].examples)
