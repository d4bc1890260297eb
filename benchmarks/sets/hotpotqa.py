"""HotpotQA: questions that compare two things, each with a page of its own.

Two searches at a time and then the model: the least parallel of the paper's question sets.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from benchmarks.questions import Question, QuestionSet, pages_of, records_of
from benchmarks.sets.answers import chosen, contains, near, number_in, plain, says
from examples.tools.pages import Pages, name_of
from examples.tools.words import words
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUBLISHED = "HotpotQA is published at https://hotpotqa.github.io (CC BY-SA 4.0); the set takes its comparison questions"
MOST_WORDS = 150
"""Of a page: its first paragraph says what comparison questions ask."""

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"(?:(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?)?\b(?P<month>{_MONTHS})"
    r"[a-z]*\.?(?:\s+(?P<or_day>\d{1,2})(?:st|nd|rd|th)?\b)?,?\s+(?:of\s+)?)?\b(?P<year>[12]\d{3}s?)\b",
    re.IGNORECASE,
)
_CONNECTING = frozenset({"a", "an", "the", "of", "in", "on", "at", "and", "for", "to", "vs", "v"})
_AROUND = ".,\"'()!?"


def questions(data: Path) -> list[Question]:
    """Every question; its details are the titles of the pages that answer it, where known."""
    found = records_of(data / "hotpotqa" / "questions.json", PUBLISHED, question=str, answer=str)
    made = []
    for number, item in enumerate(found, 1):
        titles = [title for title in item.get("gold_titles") or [] if isinstance(title, str)]
        asked = " ".join(item["question"].split())
        made.append(Question(str(item.get("id", number)), asked, item["answer"], {"titles": titles}))
    return made


def functions(data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
    """``search``, over all pages of the corpus."""
    pages = pages_of(data / "hotpotqa" / "pages.jsonl", PUBLISHED)

    @function(kind="inout", pure=True)
    async def search(query: str) -> str:
        """Search the encyclopedia and obtain the page that fits best.

        Args:
            query: The name of one person, place or thing.
        """
        await asyncio.sleep(delay)
        return found_for(query, pages)

    return [search]


def found_for(query: str, pages: Pages) -> str:
    """The page for a query as text, and the titles of those with the same name."""
    found = pages.find(query, limit=4)
    if not found:
        raise LookupError(f"nothing found for {query!r}; search for the name of one person, place or thing")
    best, spaced = found[0], found[0].text.split()
    text = best.text if len(spaced) <= MOST_WORDS else f"{' '.join(spaced[:MOST_WORDS])} ..."
    alike = [page.title for page in found[1:] if words(name_of(page.title)) == words(name_of(best.title))]
    see = f" (See also: {'; '.join(alike[:2])}.)" if alike else ""
    return f"{best.title}: {text}{see}"


def right(question: Question, answer: Any, work: Path) -> bool:
    """Whether an answer says what the label says.

    LLMCompiler's evaluation wants the label and nothing else, in lower case and without
    articles and punctuation. A model that isn't tuned to that answers in sentences, so
    here it depends on what is asked:

    * yes or no: the answer begins or concludes by the word, and never by both;
    * one of two things: it names the right one, and if it names both, it begins by the right
      one alone, concludes by it, or says of it alone what was asked (``answers.chosen``);
    * how many or how much: the number that it states is within 10 %;
    * when: the date that it states is the same, and as exact as the label;
    * anything else: it contains each word of the label that the question hasn't.
    """
    label = str(question.answer)
    if words(label) in (["yes"], ["no"]):
        return says(answer) is (words(label) == ["yes"])
    names = compared(question)
    matching = [index for index, forms in enumerate(names) if any(_same(label, form) for form in forms)]
    if len(names) > 1 and len(matching) == 1:
        names[matching[0]] += [label]
        return chosen(answer, names, asked=question.text, shortened=True) == matching[0]
    number = number_in(label)
    if number is not None and re.search(r"\bhow (?:many|much)\b", question.text, re.IGNORECASE):
        return near(answer, number[1])
    # A tenth of a year is two centuries, so dates have no margin.
    if _DATE.search(label) and re.search(r"\bwhen\b", question.text, re.IGNORECASE):
        return _dated(answer, label)
    return contains(answer, label, asked=question.text)


SET = QuestionSet("hotpotqa", 2, questions, functions, right)


def _dated(answer: Any, label: str) -> bool:
    """Whether an answer states the label's dates: its last ones, or the first if it begins with them."""
    wanted, said = _dates(label), _dates(plain(answer))
    begins = _DATE.match(plain(answer).lstrip(" \"'(["))
    stated = said[: len(wanted)] if begins else said[-len(wanted) :]
    return len(stated) == len(wanted) and all(
        part in (None, given)
        for date, other in zip(wanted, stated, strict=True)
        for part, given in zip(date, other, strict=True)
    )


def _dates(text: str) -> list[tuple[str, str | None, int | None]]:
    """The dates in a text: year, month and day, as far as it gives them."""
    found = []
    for date in _DATE.finditer(text):
        day = date["day"] or date["or_day"]
        found.append((date["year"], date["month"] and date["month"].lower(), int(day) if day else None))
    return found


def compared(question: Question) -> list[list[str]]:
    """The things that a question compares, each in all the ways that it is called.

    They are what stands on either side of "or" with a capital, else the titles of its pages.
    """
    titles = [name_of(title) for title in question.details.get("titles", ())]
    for found in re.finditer(r",?\s+or\s+", question.text):
        before = _run(question.text[: found.start()].split()[::-1])[::-1]
        after = _run(re.split(r"[?;:]", question.text[found.end() :], maxsplit=1)[0].split())
        if before and after:
            return [_forms(" ".join(side), titles) for side in (before, after)]
    return [[title] for title in titles]


def _forms(side: str, titles: list[str]) -> list[str]:
    """A side and the titles that mean it; without the side where it took in what stands before a title."""
    meant = [title for title in titles if _same(title, side)]
    within = any(len(words(title)) < len(words(side)) and side.endswith(title) for title in meant)
    return meant if within else [side, *meant]


def _run(tokens: list[str]) -> list[str]:
    """Leading words that belong to a name; words that only connect don't end it."""
    taken: list[str] = []
    for token in tokens:
        bare = token.strip(_AROUND)
        if not (bare[:1].isupper() or bare[:1].isdigit() or bare.lower() in _CONNECTING):
            break
        taken.append(token)
    while taken and taken[-1].strip(_AROUND).lower() in _CONNECTING - {"the"}:
        taken.pop()
    return taken if any(token.lower() not in _CONNECTING for token in taken) else []


def _same(label: str, name: str) -> bool:
    """Whether a label means a name: it is it, a part of it, or it with more names or a sentence."""
    said, named = words(label), words(name)
    if not said or not named:
        return False
    if said[: len(named)] == named or f" {' '.join(said)} " in f" {' '.join(named)} ":
        return True
    rest = iter(said)
    return len(said) <= len(named) + 3 and all(
        any(one == word or (len(word) == 1 and one.startswith(word)) for one in rest) for word in named
    )
