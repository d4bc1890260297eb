"""Content analysis of a product page: python content.py HTML."""

from __future__ import annotations

import math
import random
import re
import sys
from collections import Counter
from html.parser import HTMLParser

TOPICS = 4
ATTEMPTS = 1_500  # k-means ends where it began badly; the best of many beginnings counts
BENEFITS = frozenset(
    """
    bright calm clear easy exact fair fast fits free fresh large light new quiet quieter real safe sharp
    silence strong survives thin tuned
    """.split()  # noqa: SIM905 - words are easier to read so
)
HURDLES = frozenset(
    """
    but condition depend depends dropped expense insurance need only old proof prove unless
    """.split()  # noqa: SIM905 - words are easier to read so
)
STOP_WORDS = frozenset(
    """
    a about after an and any are as at back be before but by can do don't even for from get has have
    here how if in is it it's its may more never no not of on once one or our out over so still take
    takes than that the their them then there they this to too two up us we what when where which who
    will with without you your
    """.split()  # noqa: SIM905 - words are easier to read so
)


class Copy(HTMLParser):
    """What the page says: paragraphs and headings, and the links that ask for something."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.said: dict[str, list[str]] = {"p": [], "h": [], "a": []}
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = "h" if re.fullmatch("h[1-6]", tag) else tag
        if kind in self.said:
            self._open.append(kind)
            self.said[kind].append("")

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == ("h" if re.fullmatch("h[1-6]", tag) else tag):
            kind = self._open.pop()
            self.said[kind][-1] = " ".join(self.said[kind][-1].split())

    def handle_data(self, text: str) -> None:
        if self._open:
            self.said[self._open[-1]][-1] += text


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[a-z][a-z'-]*", text.lower())


def sentences_of(paragraphs: list[str]) -> list[str]:
    """The sentences of the paragraphs."""
    parts = [part for text in paragraphs for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)]
    return [part for part in parts if len(words_of(part)) > 2]


def vectors_of(sentences: list[str]) -> list[dict[str, float]]:
    """Each sentence as its telling words, weighted by how rare they are, at length 1 (tf-idf)."""
    kept = [
        Counter(word for word in words_of(text) if word not in STOP_WORDS and len(word) > 2)
        for text in sentences
    ]
    seen = Counter(word for counts in kept for word in counts)
    vectors = []
    for counts in kept:
        vector = {word: count * math.log(1 + len(kept) / seen[word]) for word, count in counts.items()}
        length = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
        vectors.append({word: weight / length for word, weight in vector.items()})
    return vectors


def likeness(one: dict[str, float], other: dict[str, float]) -> float:
    """The cosine between two vectors."""
    return sum(weight * other[word] for word, weight in one.items() if word in other)


def grouped(vectors: list[dict[str, float]], chance: random.Random) -> tuple[float, list[int]]:
    """One run of spherical k-means: how alike the groups are inside, and each vector's group."""
    centres = [dict(vector) for vector in chance.sample(vectors, min(TOPICS, len(vectors)))]
    groups: list[int] = []
    while True:
        fits = [[likeness(vector, centre) for centre in centres] for vector in vectors]
        chosen = [fit.index(max(fit)) for fit in fits]
        if chosen == groups:
            return sum(map(max, fits)), groups
        groups = chosen
        for number in range(len(centres)):
            total: Counter[str] = Counter()
            for vector, group in zip(vectors, groups, strict=True):
                if group == number:
                    total.update(vector)
            length = math.sqrt(sum(weight * weight for weight in total.values())) or 1.0
            centres[number] = {word: weight / length for word, weight in total.items()}


def topics(sentences: list[str]) -> list[tuple[int, list[str]]]:
    """The page's topics: how many sentences each has, and its telling words; the largest first."""
    vectors = [vector for vector in vectors_of(sentences) if vector]
    if not vectors:
        return []
    chance = random.Random(1)
    _, groups = max((grouped(vectors, chance) for _ in range(ATTEMPTS)), key=lambda run: run[0])
    found = []
    for number in sorted(set(groups)):
        members = [vector for vector, group in zip(vectors, groups, strict=True) if group == number]
        weights: Counter[str] = Counter()
        for vector in members:
            weights.update(vector)
        found.append((len(members), sorted(weights, key=lambda word: (-weights[word], word))[:4]))
    return sorted(found, key=lambda topic: -topic[0])


def prices(text: str) -> list[float]:
    """The amounts in dollars, in the page's order."""
    return [float(amount.replace(",", "")) for amount in re.findall(r"\$(\d[\d,]*(?:\.\d+)?)", text)]


def _tally(name: str, words: list[str], listed: frozenset[str]) -> str:
    found = Counter(word for word in words if word in listed)
    often = ", ".join(word for word, _ in found.most_common(4))
    return f"{name}: {found.total()} words" + (f", most often {often}" if often else "")


def report(html: str) -> str:
    """The analysis as text, a dozen lines."""
    copy = Copy(html)
    sentences = sentences_of(copy.said["p"])
    if not sentences:
        raise SystemExit("the page has no paragraphs; pass the page that search found")
    text = " ".join(copy.said["p"])
    words = words_of(text)
    offers = [part for part in copy.said["a"] if re.match(r"(buy|order|add to)\b", part, re.IGNORECASE)]
    everything = " ".join([*copy.said["h"], text]).lower()
    names = Counter(
        {name: everything.count(name.lower()) for _, _, name in (offer.partition(" ") for offer in offers)}
    )
    named = prices(text)
    addressed = sum(word in ("you", "your") for word in words)
    figures = len(re.findall(r"\b(?:\d[\d.,]*|two|three|five|half|twenty|thirty|eighteen|sixty)\b", text))
    lines = [
        f"Product page: {len(sentences)} sentences of {len(words) / len(sentences):.0f} words",
        f"Offers: {', '.join(offers) or 'none'}",
        "Products, and how often they are named: "
        + (", ".join(f"{name} {count}" for name, count in names.most_common()) or "none"),
        f"Prices: {len(named)}" + (f", from ${min(named):,.0f} to ${max(named):,.0f}" if named else ""),
        f"Speaks to the reader: {addressed / len(sentences):.1f} times a sentence",
        f"Figures: {figures}, one in {len(sentences) / max(1, figures):.1f} sentences",
        _tally("Benefits", words, BENEFITS),
        _tally("Hurdles", words, HURDLES),
    ]
    lines += [f"Topic of {size} sentences: {', '.join(telling)}" for size, telling in topics(sentences)]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python content.py HTML")
    print(report(sys.argv[1]))
