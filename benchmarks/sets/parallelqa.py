"""ParallelQA: arithmetic over facts from several pages; searches, then math on them, then an answer.

``math`` is a calculator behind the model: the model writes an expression, and it is computed
here, so that an answer depends on how well the model reads and not on how well it multiplies.
"""

from __future__ import annotations

import asyncio
import math as numeric
import re
from collections.abc import Callable, Collection, Generator  # noqa: TC003 - a declaration reads its annotations
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.questions import Question
from benchmarks.sets.answers import chosen, near, words
from benchmarks.sets.arithmetic import NotArithmetic, computed, evaluated, joined, separated, shown
from benchmarks.sets.pages import Page, Pages, records
from llmorch import function

PUBLISHED = (
    "ParallelQA is published at https://github.com/SqueezeAILab/LLMCompiler (MIT); "
    "pages.json is a list of objects with title and text"
)

_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_ASKED = """\
Write a calculation as one Python expression, with the numbers of the text. If the text does not give a number that is \
needed, write: missing

Text: Ben Nevis: Ben Nevis is in Scotland. Ben Nevis is 1345 metres high.
Calculation: Height of Ben Nevis in metres, increased by 12%
Expression: 1345 * (1 + 12/100)

Text: Tiber: The Tiber is 406 km (252 mi) long.
Calculation: Length of the Tiber in kilometres, decreased by 35%
Expression: 406 * (1 - 35/100)

Text: Bern: Bern has 146348 people.
Calculation: Population of Bern, multiplied by 2.5
Expression: 146348 * 2.5

Text: Rome: Rome covers 1285 km2. Oslo: Oslo covers 454 km2 (175 sq mi).
Calculation: Area of Rome in km2 / area of Oslo in km2
Expression: 1285 / 454

Text: Wales: Wales is a country to the west of England.
Calculation: Population of Wales in millions
Expression: missing

Text: {text}
Calculation: {task}
Expression:"""
_AGAIN = """\
{text}

Write one Python expression for: {task}. Take the numbers from the text above. It is not {reply}: {fault}. \
If the text does not give a number that is needed, write: missing"""
"""Without the examples, for it is their numbers that a small model copies."""


class ParallelQA:
    """The question set; see ``benchmarks.questions.QuestionSet``."""

    name = "parallelqa"
    examples = Path(__file__).parent / "examples" / "parallelqa.plans"
    processors = 8

    def questions(self, data: Path) -> list[Question]:
        """Every question; its details are the branches, and the pages' titles that it names."""
        pages = records(data / "parallelqa" / "pages.json", PUBLISHED, title=str, text=str)
        titles = [(page["title"], f" {' '.join(words(page['title']))} ") for page in pages]
        questions = []
        found = records(
            data / "parallelqa" / "questions.json", PUBLISHED, question=str, answer=(str, float, int)
        )
        for number, item in enumerate(found, 1):
            text = f" {' '.join(words(item['question']))} "
            named = [title for title, spelled in titles if spelled in text]
            details = {"branch": item.get("branch"), "names": named}
            questions.append(
                Question(str(item.get("id", number)), item["question"].strip(), item["answer"], details)
            )
        return questions

    def functions(self, data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
        """``search``, over all pages, and ``math``."""
        del work
        path = data / "parallelqa" / "pages.json"
        pages = _pages(path, path.stat().st_mtime_ns if path.is_file() else 0)

        @function(kind="inout")
        async def search(term: str, k: int = 500) -> str:
            """Search the encyclopedia for a term and obtain the first k words of its page.

            Args:
                term: The name of one thing.
                k: How many words; more, if a fact was not in them.
            """
            await asyncio.sleep(delay)
            return first_words(term, k, pages)

        return [search, math]

    def right(self, question: Question, answer: Any, work: Path) -> bool:
        """Whether an answer states the right number, give or take 10 %, or chooses the right name.

        As LLMCompiler's evaluation has it, but for answers in sentences: of several numbers
        the last one counts (``answers.number_in``), and of several names the chosen one.
        """
        del work
        try:
            return near(answer, float(str(question.answer).replace(",", "")))
        except ValueError:
            label = str(question.answer)
        names = [[name] for name in question.details.get("names", ()) if words(name) != words(label)]
        return chosen(answer, [[label], *names], asked=question.text, shortened=True) == 0


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


@function(asks_model=True)
def math(prompt: str) -> Generator[str, str, float]:
    """Compute a number: an expression, or what a text says in words and numbers.

    Args:
        prompt: What to compute, and the results that give its numbers, as in {s1}.
    """
    try:
        return evaluated(separated(prompt.rstrip(" \n=?")))
    except NotArithmetic:
        pass
    task, text = _divided(prompt)
    text = _written_out(text, task)
    reply = yield _ASKED.format(task=task, text=text or "none")
    for again in (True, False):
        if re.match(r"\W*(?:missing|none|not |unknown)", reply, re.IGNORECASE):
            break
        try:
            value, used = computed(reply)
        except ValueError as error:
            fault = str(error)
        else:
            strange, unused = _strange(used, task, text), _unused(used, task)
            if not strange and not (unused and again):
                return value
            fault = f"{strange[0]:g} is not in the text" if strange else f"{unused[0]:g} is not in it"
        if again:
            reply = yield _AGAIN.format(task=task, text=text, reply=shown(reply, 200), fault=fault)
    raise ValueError(f"can't extract {shown(task, 100)}: the text doesn't say it{_what_was_cut(prompt)}")


SET = ParallelQA()


def _strange(used: Collection[float], task: str, text: str) -> list[float]:
    """Numbers of an expression that aren't in the text, don't follow from one there and need a source.

    A model that isn't told a fact makes up a number, and an error tells more than a wrong result.
    """
    known = {1 / count for count in range(1, 11)} | {10.0**zeros for zeros in range(-2, 10)}
    scales = [_SCALES[word] for word in _SCALES if word in task]
    for number in _numbers(f"{task} {text}"):
        known |= {*_forms(number), *(number / scale for scale in scales)}
    return [one for one in used if not (one <= 10 and (one * 2).is_integer()) and not _among(one, known)]


def _unused(used: Collection[float], task: str) -> list[float]:
    """Numbers that a task names and its expression passes over."""
    return [number for number in _numbers(task) if not any(_among(one, _forms(number)) for one in used)]


def _forms(number: float) -> set[float]:
    """A number, and what becomes of a percentage and a divisor."""
    return {number, number / 100, 1 + number / 100, abs(1 - number / 100), 1 / (number or 1)}


def _among(number: float, others: Collection[float]) -> bool:
    return any(numeric.isclose(number, other, rel_tol=2e-4) for other in others)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", joined(text))]


def _written_out(text: str, task: str) -> str:
    """ "23 million" as 23000000, unless millions are asked for: a small model copies a number as it is."""
    words_left = [word for word in _SCALES if word not in task]
    if not words_left:
        return joined(text)
    return re.sub(
        rf"(?<![\w.])(\d+(?:\.\d+)?)[\s-]*({'|'.join(words_left)})\b",
        lambda found: f"{float(found[1]) * _SCALES[found[2]]:.12g}",
        joined(text),
    )


def _divided(prompt: str) -> tuple[str, str]:
    """What a prompt asks for, up to a question mark or the end of a line, and the text after it."""
    found = re.match(r"([^?\n]+)[?\n](.*)", prompt.strip(), re.DOTALL)
    task, text = found.groups() if found else (prompt, "")
    return " ".join(task.split()), " ".join(text.split())


def _what_was_cut(prompt: str) -> str:
    marks = re.findall(r"only the first \d+ of \d+ words are shown", prompt)
    return f" ({'; '.join(dict.fromkeys(marks))}: search with a larger k)" if marks else ""


@lru_cache(maxsize=1)
def _pages(path: Path, changed: int) -> Pages:
    """The pages of a file, read once as long as it stays as it is."""
    del changed
    return Pages(Page(item["title"], item["text"]) for item in records(path, PUBLISHED, title=str, text=str))
