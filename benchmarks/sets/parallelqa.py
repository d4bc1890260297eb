"""ParallelQA: arithmetic over facts from several pages; searches, then math on them, then an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.questions import Question, QuestionSet, pages_of, records_of
from benchmarks.sets.answers import chosen, near
from examples.tools.calculator import math
from examples.tools.words import words
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from examples.tools.pages import Pages

PUBLISHED = (
    "ParallelQA is published at https://github.com/SqueezeAILab/LLMCompiler (MIT); "
    "pages.json is a list of objects with title and text"
)


def questions(data: Path) -> list[Question]:
    """Every question; its details are the branches, and the pages' titles that it names."""
    folder = data / "parallelqa"
    pages = records_of(folder / "pages.json", PUBLISHED, title=str, text=str)
    titles = [(page["title"], f" {' '.join(words(page['title']))} ") for page in pages]
    made = []
    found = records_of(folder / "questions.json", PUBLISHED, question=str, answer=(str, float, int))
    for number, item in enumerate(found, 1):
        text = f" {' '.join(words(item['question']))} "
        named = [title for title, spelled in titles if spelled in text]
        details = {"branch": item.get("branch"), "names": named}
        id_ = str(item.get("id", number))
        made.append(Question(id_, item["question"].strip(), item["answer"], details))
    return made


def functions(data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
    """``search``, over all pages, and ``math``."""
    pages = pages_of(data / "parallelqa" / "pages.json", PUBLISHED)

    @function(kind="inout", pure=True)
    async def search(term: str, k: int = 500) -> str:
        """Search the encyclopedia for a term and obtain the first k words of its page.

        Args:
            term: The name of one thing.
            k: How many words; more, if a fact was not in them.
        """
        await asyncio.sleep(delay)
        return first_words(term, k, pages)

    return [search, math]


def right(question: Question, answer: Any, work: Path) -> bool:
    """Whether an answer states the right number, give or take 10 %, or chooses the right name.

    As LLMCompiler's evaluation has it, but for answers in sentences: of several numbers
    the last one counts (``answers.number_in``), and of several names the chosen one.
    """
    try:
        return near(answer, float(str(question.answer).replace(",", "")))
    except ValueError:
        label = str(question.answer)
    names = [[name] for name in question.details.get("names", ()) if words(name) != words(label)]
    return chosen(answer, [[label], *names], asked=question.text, shortened=True) == 0


SET = QuestionSet("parallelqa", 8, questions, functions, right)


def first_words(term: str, k: int, pages: Pages) -> str:
    """What a search answers: the first ``k`` words of a page, and whether there are more."""
    if k < 1:
        raise ValueError(f"k is a number of words, and at least 1, not {k}")
    found = pages.find(term, limit=1)
    if not found:
        raise LookupError(f"nothing found for {term!r}; search for the name of one thing")
    spaced = found[0].text.split()
    text = f"{found[0].title}: {' '.join(spaced[:k])}"
    if len(spaced) <= k:
        return text
    return f"{text} [... only the first {k} of {len(spaced)} words are shown: k={k}]"
