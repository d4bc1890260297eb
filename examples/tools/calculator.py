"""A calculator behind the model: the model writes an expression, and it is computed here.

So an answer depends on how well the model reads and not on how well it multiplies.
"""

from __future__ import annotations

import math as numeric
import re
from collections.abc import Collection, Generator, Sequence  # noqa: TC003 - a declaration reads its annotations
from typing import TypeAlias

from examples.tools.arithmetic import Computed, NotArithmetic, computed, evaluated, joined, separated, shown
from examples.tools.words import words
from llmorch import function

_Page: TypeAlias = tuple[str, list[float]]
"""A title, and the numbers below it."""
_Source: TypeAlias = tuple[list[float], list[str]]
"""Numbers of an expression that its question doesn't name, and the titles of the pages that have them."""
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_ASKED = """\
Write one Python expression that answers the question, with the numbers of the text. If the text does not give a \
number that is needed, write: missing

Text: Elbe: The Elbe is 1094 km long. Oder: It is 840 km long. Weser: The Weser has 451 km.
Question: What is the smallest ratio when comparing the length of the Elbe to the Oder, and the Oder to the Weser?
Expression: min(1094 / 840, 840 / 451)

Text: Tiber: The Tiber is 406 km (252 mi) long. Arno: It is 241 km long.
Question: If the Tiber shrank by 35% and the Arno became 2.5 times longer, how much longer would the Arno be in km?
Expression: abs(241 * 2.5 - (406 - 35%))

Text: Rome: Rome covers 1285 km2. Oslo: Oslo covers 454 km2 (175 sq mi). Bern: Bern covers 52 km2.
Question: After Rome loses 20% of its area, Oslo triples and Bern shrinks by 1.5 times, which city is the largest?
Expression: max(1285 - 20%, 454 * 3, 52 / 1.5)

Text: Wales: Wales is a country to the west of England.
Question: Population of Wales in millions, increased by 5%
Expression: missing

Text: {text}
Question: {task}
Reply with the expression only, on one line."""
_AGAIN = """\
{asked}

It is not {reply}: {fault}. Take the numbers from the text of the last question."""
"""Begins as what was asked at first, which a model on this machine then needn't read again."""


@function(asks_model=True, pure=True)
def math(prompt: str) -> Generator[str, str, float | str]:
    """Compute a number from what texts say, or which of several things has the largest or smallest.

    Args:
        prompt: An expression; or what to compute, and the results that give its numbers, as in {s1}.
    """
    try:
        return evaluated(separated(prompt.rstrip(" \n=?")))
    except NotArithmetic:
        pass
    task, text = _divided(prompt)
    text = _written_out(with_numbers(_CUT.sub("[...]", text), task), task)
    asked = _ASKED.format(task=task, text=text or "none")
    reply = yield asked
    pages, cut = _pages_in(text), _what_was_cut(prompt)
    which = bool(pages and _WHICH.search(task))
    # Where every page has been read to its end and has numbers, no other page would help.
    told = not cut and bool(_numbers(text)) and all(numbers for _, numbers in pages)
    kept: float | str | None = None
    for again in (True, False):
        if re.match(r"\W*(?:missing|none|not |unknown)", reply, re.IGNORECASE):
            break
        sources: list[_Source] = []
        try:
            found = computed(reply)
            sources = _sources(found, task, pages)
            answer = _answer(found, sources, which=which)
        except ValueError as error:
            fault = str(error)
            if sources and which and told:
                kept = _chosen(found, sources) or kept
        else:
            strange, unused = _strange(found.numbers, task, text), _unused(found.numbers, task)
            if not strange and not unused:
                return answer
            fault = f"{strange[0]:g} is not in the text" if strange else f"{unused[0]:g} is not in it"
            if not strange or (told and kept is None):
                kept = answer
        if again:
            reply = yield _AGAIN.format(asked=asked, reply=shown(reply, 200), fault=fault)
    if kept is not None:  # not every number of a question need be in its answer
        return kept
    if cut:  # a repair needs to know of which page more is to be read
        raise ValueError(f"can't extract a number: {cut}: search for it with a larger k")
    raise ValueError(f"can't extract {shown(task, 100)}: the text doesn't say it")


_WHICH = re.compile(r"\bwhich\b", re.IGNORECASE)
_CUT = re.compile(r"\[\.\.\. (only the first \d+ of \d+ words are shown): (k=\d+)\]")
_TITLE = r"[^\s.:;!?][^.:;!?]{0,60}: "
_HEAD = rf"(?:^|(?<=[.!?\])\"] )){_TITLE}"
"""Where the result of a search begins: the title of a page."""
_BETWEEN = re.compile(rf"(?<=[.!?\]])\s+(?=[A-Z\d(\[]|{_TITLE})")
"""Between two sentences: the second one has a capital, or is a title, which needn't."""
_SENTENCES = 2  # of a page: what is asked for is said once or twice
_COMMON = frozenset(
    {"after", "been", "each", "from", "have", "into", "than", "that", "this", "what", "which", "with"}
)


def with_numbers(text: str, task: str) -> str:
    """The sentences of a text that have a number, below the titles of their pages.

    Of a page the one that shares most words with the task, and another if it shares further
    ones; of a text without a title all. A text without any number is left as it is. A model
    that reads less reads better, and sooner.
    """
    if not re.search(r"\d", text):
        return text
    wanted, pages = _stems(task), []
    for sentence in _BETWEEN.split(text):
        head = re.match(_HEAD, sentence)
        if head or not pages:
            title = head[0] if head else ""
            pages.append((title.strip(), wanted - _stems(title), list[str]()))
        if re.search(r"\d", sentence):
            pages[-1][2].append(sentence)
    kept = []
    for title, about, sentences in pages:
        told = _about(about, sentences) if title else sentences  # they may be about several things
        kept += told if told and told[0].startswith(title) else [title, *told]
    return " ".join(filter(None, kept))


def _about(wanted: set[str], sentences: Sequence[str]) -> list[str]:
    """The sentences that cover most of the wanted words, as few as do; the first ones if none has any."""
    told: list[str] = []
    for _ in range(_SENTENCES):
        best = max(sentences, key=lambda one: len(wanted & _stems(one)), default="")
        if not wanted & _stems(best):
            break
        told.append(best)
        wanted = wanted - _stems(best)
    return [one for one in sentences if one in told] or list(sentences[:_SENTENCES])


def _stems(text: str) -> set[str]:
    """What the longer words of a text begin with, so that "population" is in "populous"."""
    return {word[:5] for word in words(text) if len(word) > 3} - _COMMON


def _answer(found: Computed, sources: Sequence[_Source], *, which: bool) -> float | str:
    """A number; or where it is asked which, the title of the page whose number was the largest or smallest.

    Each argument of a min or max is about one thing, and its number comes from that thing's
    page. Raises ``ValueError`` where two come from one page, or it can't be told which.
    """
    if all(len(pages) > 1 for _, pages in sources):
        return found.value  # which difference, or which ratio: no single thing has it
    titles = []
    for own, pages in sources:
        if len(pages) == 1 and (which or len(own) == 1):
            titles += pages
        elif which:
            raise ValueError(f"one of its arguments has numbers of {' and of '.join(pages) or 'no page'}")
    if len(set(titles)) < len(titles):
        raise ValueError(f"two of its arguments have numbers of {max(titles, key=titles.count)}")
    return titles[found.chosen or 0] if which else found.value


def _chosen(found: Computed, sources: Sequence[_Source]) -> str | None:
    """The page of the largest or smallest number, whatever the others come from."""
    _, pages = sources[found.chosen or 0]
    return pages[0] if len(pages) == 1 else None


def _sources(found: Computed, task: str, pages: Sequence[_Page]) -> list[_Source]:
    """Where the numbers come from: those of each argument of a min or max, or those of any other expression."""
    said = [form for number in _numbers(task) for form in _forms(number)]
    sources = []
    for numbers in found.among or (found.numbers,):
        own = [number for number in numbers if not (_among(number, said) or _small(number))] or list(numbers)
        sources.append((own, [one for one, known in pages if any(_among(item, known) for item in own)]))
    return sources


def _pages_in(text: str) -> list[_Page]:
    """The pages of a text, each with its title and its numbers."""
    heads = list(re.finditer(_HEAD, text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return [
        (head[0].removesuffix(": "), _numbers(text[head.end() : end]))
        for head, end in zip(heads, ends, strict=False)  # no page, no end
    ]


def _strange(used: Collection[float], task: str, text: str) -> list[float]:
    """Numbers of an expression that aren't in the text, don't follow from one there and need a source.

    A model that isn't told a fact makes up a number, and an error tells more than a wrong result.
    """
    known = {1 / count for count in range(1, 11)} | {10.0**zeros for zeros in range(-2, 10)}
    scales = [_SCALES[word] for word in _SCALES if word in task]
    for number in _numbers(f"{task} {text}"):
        known |= {*_forms(number), *(number / scale for scale in scales)}
    return [one for one in used if not _small(one) and not _among(one, known)]


def _unused(used: Collection[float], task: str) -> list[float]:
    """Numbers that a task names and its expression passes over."""
    task = re.sub(r"(?:^|(?<=\s))\d\.\s", " ", task)  # what numbers its parts
    return [number for number in _numbers(task) if not any(_among(one, _forms(number)) for one in used)]


def _forms(number: float) -> set[float]:
    """A number, and what becomes of a percentage and a divisor."""
    return {number, number / 100, 1 + number / 100, abs(1 - number / 100), 1 / (number or 1)}


def _small(number: float) -> bool:
    """Whether a number may come from a word: half, doubled, the average of four."""
    return number <= 10 and (number * 2).is_integer()


def _among(number: float, others: Collection[float]) -> bool:
    return any(numeric.isclose(number, other, rel_tol=2e-4) for other in others)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e\d+)?", joined(text))]


def _written_out(text: str, task: str) -> str:
    """ "23 million" and "23,000,000" as 23e6; where it is millions that are asked for, as 23 million.

    A small model copies a number as it is, and loses count of zeros.
    """
    text, in_millions = joined(text), "million" in task
    if words_left := [word for word in _SCALES if word not in task]:
        named = rf"(?<![\w.])(\d+(?:\.\d+)?)[\s-]*({'|'.join(words_left)})\b"
        text = re.sub(named, lambda found: f"{float(found[1]) * _SCALES[found[2]]:.12g}", text)
    return re.sub(
        r"(?<![\w.])\d{7,15}(?![\w.]*\d)", lambda found: _shorter(found[0], in_millions=in_millions), text
    )


def _shorter(digits: str, *, in_millions: bool) -> str:
    """1400000000 as 1.4e9 or 1400 million, and 123456789 as it is."""
    if in_millions:
        return f"{int(digits) / 1e6:.12g} million"
    zeros = 9 if len(digits) > 9 else 6
    short = f"{int(digits) / 10**zeros:.12g}e{zeros}"
    return short if len(short) < len(digits) else digits


def _divided(prompt: str) -> tuple[str, str]:
    """What a prompt asks for, up to the end of a line or else a question mark, and the text after it."""
    end = "\n" if "\n" in prompt.strip() else "?"
    task, _, text = prompt.strip().partition(end)
    return " ".join(task.rstrip("?").split()), " ".join(text.split())


def _what_was_cut(prompt: str) -> str:
    """ "of Florida only the first 500 of 812 words are shown (k=500)", for each page that is longer."""
    told = []
    for cut in _CUT.finditer(prompt):
        heads = re.findall(_HEAD, _divided(prompt[: cut.start()])[1])
        told.append(
            f"of {heads[-1].removesuffix(': ')} {cut[1]} ({cut[2]})" if heads else f"{cut[1]} ({cut[2]})"
        )
    return "; ".join(dict.fromkeys(told))
