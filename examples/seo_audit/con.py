"""Content analysis of a page: python con.py HTML."""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections import Counter
from html.parser import HTMLParser

WINDOWS = (8, 12, 16, 24, 32)  # words; short ones find copied phrases, long ones copied paragraphs
ALIKE = 0.75  # the share of weighted words in common that makes two passages near copies
STOP_WORDS = frozenset(
    """
    a about after all also an and any are as at be because been but by can do each for from had has have
    he her his how i if in into is it its just like make more most no not of on one only or other our
    out over own she so some than that the their them then there these they this those to too up us use
    used very was way we were what when where which who why will with you your
    """.split()  # noqa: SIM905 - words are easier to read so
)
SILENT = ("script", "style", "noscript", "svg", "template")
BLOCKS = """
    p li h1 h2 h3 h4 h5 h6 div section article header footer nav main title td th br figcaption
    """.split()  # noqa: SIM905 - words are easier to read so


class Text(HTMLParser):
    """The text that a visitor reads, one block a line; title and headings apart."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.headings: list[str] = []
        self._parts: list[str] = []
        self._silent = 0
        self._tag = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in SILENT
        if tag in BLOCKS:
            self._parts.append("\n")
            self._tag = tag
            if re.fullmatch("h[1-6]", tag):
                self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT and self._silent > 0
        if tag in BLOCKS:
            self._parts.append("\n")
            self._tag = ""

    def handle_data(self, text: str) -> None:
        if self._silent:
            return
        if self._tag == "title":
            self.title += text.strip()
            return
        if re.fullmatch("h[1-6]", self._tag):
            self.headings[-1] += text
        self._parts.append(text)

    @property
    def lines(self) -> list[str]:
        text = "".join(self._parts)
        return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[a-z][a-z'-]*", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def sentences_of(lines: list[str]) -> list[str]:
    """The sentences of prose lines; menu entries and other crumbs of up to three words aren't any."""
    parts = [part for line in lines for part in re.split(r"(?<=[.!?])\s+", line)]
    return [part for part in parts if len(words_of(part)) > 3]


def syllables(word: str) -> int:
    """A count of vowel groups, with the silent e of English left out."""
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith("le") and groups > 1
    return max(1, groups - silent)


def reading_ease(sentences: list[str]) -> float:
    """Flesch's reading ease: 100 is very easy, 0 very hard."""
    words = [word for sentence in sentences for word in words_of(sentence)]
    if not words:
        return 0.0
    per_word = sum(map(syllables, words)) / len(words)
    return 206.835 - 1.015 * len(words) / len(sentences) - 84.6 * per_word


def keywords(words: list[str], most: int) -> list[tuple[str, int]]:
    """The words that carry meaning, most frequent first."""
    return Counter(word for word in words if word not in STOP_WORDS and len(word) > 2).most_common(most)


def phrases(sentences: list[str], most: int) -> list[tuple[str, int]]:
    """The phrases that occur at least three times, long ones first, each with mostly new words."""
    counts: Counter[tuple[str, ...]] = Counter()
    for words in map(words_of, sentences):
        for size in range(2, 16):
            counts.update(zip(*(words[start:] for start in range(size)), strict=False))
    chosen: list[tuple[str, int]] = []
    told: set[str] = set()
    for run, count in sorted(counts.items(), key=lambda item: (-item[1] * len(item[0]), item[0])):
        if (
            count < 3
            or run[0] in STOP_WORDS
            or run[-1] in STOP_WORDS
            or 2 * len(told & {*run}) >= len({*run})
        ):
            continue
        chosen.append((" ".join(run), count))
        told |= {*run}
    return chosen[:most]


def weights_of(sentences: list[str]) -> dict[str, float]:
    """How telling each word is: its inverse frequency over the page's sentences."""
    seen = Counter(word for sentence in sentences for word in set(words_of(sentence)))
    return {word: math.log((1 + len(sentences)) / count) for word, count in seen.items()}


def copied(words: list[str], weights: dict[str, float], size: int) -> float:
    """The share of words that lie in a passage of this size which has a near copy elsewhere on the page.

    All pairs of passages that don't overlap are compared, by their weighted words in common.
    """
    passages = [frozenset(words[start : start + size]) for start in range(len(words) - size + 1)]
    totals = [sum(weights.get(word, 0.0) for word in passage) for passage in passages]
    twin = bytearray(len(words))
    for (i, one), (j, other) in itertools.combinations(enumerate(passages), 2):
        if j - i < size or (twin[i] and twin[j]):
            continue
        common = one & other
        if len(common) * 2 < len(one):
            continue
        shared = sum(weights.get(word, 0.0) for word in common)
        if shared >= ALIKE * (totals[i] + totals[j] - shared) > 0:
            for start in (i, j):
                twin[start : start + size] = b"\1" * size
    return sum(twin) / len(words) if words else 0.0


def report(html: str) -> str:
    """The analysis as text, a dozen lines."""
    page = Text(html)
    sentences = sentences_of(page.lines)
    words = words_of(" ".join(page.lines))
    if not words:
        raise SystemExit("the page has no text")
    prose = words_of(" ".join(sentences))
    ease = reading_ease(sentences)
    level = next(
        name
        for least, name in ((60, "easy"), (45, "fair"), (30, "hard"), (-math.inf, "very hard"))
        if ease > least
    )
    longest = max((len(words_of(sentence)) for sentence in sentences), default=0)
    top = keywords(words, 6)
    title, headings = words_of(page.title), words_of(" ".join(page.headings))
    weights = weights_of(sentences)
    shares = ", ".join(
        f"{copied(prose, weights, size):.0%} at {size} words" for size in WINDOWS if size < len(prose)
    )
    lines = [
        f'Content analysis of "{page.title}"',
        f"Length: {len(words)} words, {len(sentences)} sentences, {len(page.headings)} headings",
        f"Sentences: {len(prose) / max(1, len(sentences)):.1f} words on average, the longest {longest}",
        f"Reading ease: {ease:.0f} of 100, {level}",
        f"Vocabulary: {len(set(words))} different words",
        "Keywords: " + ", ".join(f"{word} {count} ({count / len(words):.1%})" for word, count in top),
        "Phrases: "
        + (", ".join(f"{phrase} {count}" for phrase, count in phrases(sentences, 4)) or "none repeated"),
        "Keywords in the title: " + (", ".join(word for word, _ in top if word in title) or "none"),
        "Keywords in headings: " + (", ".join(word for word, _ in top if word in headings) or "none"),
        f"Near copies within the page: {shares or 'too short to tell'}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python con.py HTML")
    print(report(sys.argv[1]))
