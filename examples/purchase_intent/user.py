"""User experience analysis of a product page: python user.py HTML."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import dataclass
from html.parser import HTMLParser

VISITS = 100_000
READS_ON = 0.96  # the chance to go on after each ten words
WORDS_A_SECOND = 4.0
NEEDED = 4.5  # the contrast of text that WCAG 2 asks for at level AA


@dataclass(frozen=True)
class Item:
    """Something a visitor meets on the way down: words, a price, a link or a picture."""

    kind: str
    words: int = 0
    text: str = ""


class Screen(HTMLParser):
    """The page in the order in which a visitor meets it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.items: list[Item] = []
        self.links = {"nav": 0, "footer": 0, "main": 0}
        self.images: list[dict[str, str]] = []
        self.labels: set[str] = set()
        self.fields: list[dict[str, str]] = []
        self.css = ""
        self.viewport = False
        self._where = "main"
        self._link: str | None = None
        self._in_head = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("nav", "footer"):
            self._where = tag
        elif tag == "a":
            self.links[self._where] += 1
            self._link = ""
        elif tag == "img":
            self.images.append(given)
            self.items.append(Item("image"))
        elif tag == "label":
            self.labels.add(given.get("for", ""))
        elif tag in ("input", "select", "textarea"):
            self.fields.append(given)
        elif tag == "meta" and given.get("name") == "viewport":
            self.viewport = "width=device-width" in given.get("content", "")
        elif tag in ("style", "script", "title"):
            self._in_head = tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("nav", "footer"):
            self._where = "main"
        elif tag == "a" and self._link is not None:
            text = " ".join(self._link.split())
            if self._where == "main":
                kind = "buy" if re.match(r"(buy|order|add to)\b", text, re.IGNORECASE) else "link"
                self.items.append(Item(kind, len(text.split()), text))
            self._link = None
        elif tag == self._in_head:
            self._in_head = ""

    def handle_data(self, text: str) -> None:
        if self._in_head:
            self.css += text if self._in_head == "style" else ""
        elif self._link is not None:
            self._link += text
        elif self._where == "main" and text.strip():
            # A price is met where it stands, so the text before it comes first.
            for part in re.split(r"(\$\d[\d,.]*)", text):
                if part.strip():
                    self.items.append(
                        Item("price" if part.startswith("$") else "words", len(part.split()), part)
                    )


def luminance(colour: str) -> float:
    """The relative luminance of #rrggbb, as WCAG 2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(text: str, background: str) -> float:
    """The contrast of two colours, from 1 to 21."""
    light, dark = sorted((luminance(text), luminance(background)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def contrasts(css: str) -> dict[str, float]:
    """The contrast of each rule that has both colours."""
    found = {}
    for name, body in re.findall(r"([^{}]+)\{([^}]*)\}", css):
        text = re.search(r"(?<![\w-])color:\s*(#[0-9a-fA-F]{6})", body)
        background = re.search(r"background(?:-color)?:\s*(#[0-9a-fA-F]{6})", body)
        if text and background:
            found[name.strip()] = contrast(text[1], background[1])
    return found


def visits(items: list[Item]) -> dict[str, float]:
    """Simulated visitors who read down the page and may leave after each ten words.

    A picture keeps a visitor for a moment, a link is followed now and then, and an
    offer is taken up more often once a price was seen. Shares of all visits, and the
    median time to leave.
    """
    chance = random.Random(1)
    seen_price = seen_offer = bought = finished = 0
    times = []
    for _ in range(VISITS):
        interest, seconds, price, offer = READS_ON, 0.0, False, False
        for item in items:
            seconds += item.words / WORDS_A_SECOND + 1.5 * (item.kind == "image")
            price = price or item.kind == "price"
            offer = offer or item.kind == "buy"
            if item.kind == "image":
                interest = min(0.99, interest + 0.005)
            elif item.kind == "buy" and chance.random() < (0.03 if price else 0.01):
                bought += 1
                break
            elif item.kind == "link" and chance.random() < 0.03:
                break
            if chance.random() > interest ** (item.words / 10):
                break
        else:
            finished += 1
        seen_price += price
        seen_offer += offer
        times.append(seconds)
    return {
        "price": seen_price / VISITS,
        "offer": seen_offer / VISITS,
        "bought": bought / VISITS,
        "finished": finished / VISITS,
        "seconds": sorted(times)[VISITS // 2],
    }


def words_before(items: list[Item], kind: str) -> int | None:
    """How many words a visitor reads before the first item of a kind."""
    words = 0
    for item in items:
        if item.kind == kind:
            return words
        words += item.words
    return None


def report(html: str) -> str:
    """The analysis as text, a dozen lines."""
    screen = Screen(html)
    if not screen.items:
        raise SystemExit("the page has no content; pass the page that search found")
    price, offer = words_before(screen.items, "price"), words_before(screen.items, "buy")
    pale = {name: value for name, value in contrasts(screen.css).items() if value < NEEDED}
    unlabelled = [field for field in screen.fields if field.get("id") not in screen.labels]
    unnamed = [image for image in screen.images if not image.get("alt")]
    shares = visits(screen.items)
    offers = sum(item.kind == "buy" for item in screen.items)
    lines = [
        f"User experience: {screen.links['nav']} menu entries, {screen.links['main']} links in the text, "
        f"{screen.links['footer']} in the footer",
        f"Fits a phone: {'yes' if screen.viewport else 'no, there is no viewport'}",
        "First price: " + (f"after {price} words" if price is not None else "none"),
        "First offer: " + (f"after {offer} words, {offers} on the page" if offer is not None else "none"),
        "Contrast: "
        + (
            ", ".join(f"{name} {value:.1f}" for name, value in pale.items()) + f" below {NEEDED}"
            if pale
            else "enough"
        ),
        f"Form fields without a label: {len(unlabelled)} of {len(screen.fields)}",
        f"Pictures without a text: {len(unnamed)} of {len(screen.images)}",
        f"Of {VISITS} simulated visits {shares['price']:.0%} see a price, {shares['offer']:.0%} an offer, "
        f"{shares['bought']:.1%} take one up, {shares['finished']:.0%} reach the end",
        f"Half of the visits end within {shares['seconds']:.0f} seconds",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python user.py HTML")
    print(report(sys.argv[1]))
