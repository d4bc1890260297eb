"""Technical SEO audit of a page: python seo.py HTML."""

from __future__ import annotations

import difflib
import gzip
import itertools
import re
import sys
import zlib
from html.parser import HTMLParser
from urllib.parse import urlsplit

LARGE = 100_000
ALIKE = 0.8  # two blocks whose markup agrees this far come from one template
BLOCKS = ("article", "aside", "div", "figure", "footer", "form", "header", "li", "nav", "section", "tr")


class Page(HTMLParser):
    """What an audit looks at: title, head, headings, images and links, in the page's order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.language = ""
        self.meta: dict[str, str] = {}
        self.canonical: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.images: list[dict[str, str]] = []
        self.links: list[dict[str, str]] = []
        self.ids: list[str] = []
        self.scripts_in_head = 0
        self.structured = 0
        self.blocks: list[list[str]] = []
        self._open: list[list[str]] = []
        self._inside: list[str] = []
        self._text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "html":
            self.language = given.get("lang", "")
        elif tag == "meta":
            name = given.get("name", given.get("property", "")).lower()
            self.meta[name] = given.get("content", "").strip()
        elif tag == "link" and given.get("rel") == "canonical":
            self.canonical.append(given.get("href", ""))
        elif tag == "img":
            self.images.append(given)
        elif tag == "a":
            self.links.append({**given, "text": ""})
        elif tag == "script":
            self.structured += given.get("type") == "application/ld+json"
            self.scripts_in_head += (
                "head" in self._inside and "src" in given and not {"async", "defer"} & set(given)
            )
        for block in self._open:
            block.append(self.get_starttag_text() or "")
        if tag in BLOCKS:
            self.blocks.append([])
            self._open.append(self.blocks[-1])
        if tag in ("head", "title", "a", "script") or re.fullmatch("h[1-6]", tag):
            self._inside.append(tag)
            if tag != "a":
                self._text = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS and self._open:
            self._open.pop()
        if tag not in self._inside:
            return
        while self._inside.pop() != tag:
            pass
        if tag == "title" and "head" in self._inside:
            self.title = " ".join(self._text.split())
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), " ".join(self._text.split())))

    def handle_data(self, text: str) -> None:
        if "script" in self._inside:
            return
        self._text += text
        if "a" in self._inside:
            self.links[-1]["text"] += text


def findings(html: str) -> list[tuple[bool, str, str]]:
    """Each check as whether it passed, what was checked, and what was found."""
    page = Page(html)
    return [*_head(page), *_headings(page), *_images(page), *_links(page), *_rest(page, html)]


def _head(page: Page) -> list[tuple[bool, str, str]]:
    description = page.meta.get("description", "")
    robots = page.meta.get("robots", "")
    viewport = page.meta.get("viewport", "")
    canonical = page.canonical
    return [
        (30 <= len(page.title) <= 60, "title", f'"{page.title}", {len(page.title)} characters (30-60)'),
        (
            70 <= len(description) <= 160,
            "meta description",
            f"{len(description)} characters (70-160)" if description else "missing",
        ),
        (
            len(canonical) == 1 and urlsplit(canonical[0]).scheme == "https",
            "canonical",
            ", ".join(canonical) if canonical else "missing",
        ),
        ("noindex" not in robots and "nofollow" not in robots, "robots", robots or "default: index, follow"),
        (
            "width=device-width" in viewport and "user-scalable=no" not in viewport,
            "viewport",
            viewport or "missing",
        ),
        (bool(page.language), "language", page.language or "no lang attribute"),
    ]


def _headings(page: Page) -> list[tuple[bool, str, str]]:
    levels = [level for level, _ in page.headings]
    first = [text for level, text in page.headings if level == 1]
    skipped = [f"h{before} to h{after}" for before, after in itertools.pairwise(levels) if after > before + 1]
    empty = sum(not text for _, text in page.headings)
    order = ", ".join(dict.fromkeys(skipped)) + " skip a level" if skipped else "no level skipped"
    if empty:
        order += f"; {empty} empty"
    return [
        (len(first) == 1, "h1", f"{len(first)} of them" + (f': "{first[0][:50]}"' if first else "")),
        (not skipped and not empty, "heading order", f"{len(levels)} headings; {order}"),
    ]


def _images(page: Page) -> list[tuple[bool, str, str]]:
    missing = [image for image in page.images if "alt" not in image]
    poor = [
        image
        for image in page.images
        if re.fullmatch(r"(image|img|photo|picture)?\W*\d*", image.get("alt", "-x"))
    ]
    unsized = [image for image in page.images if not {"width", "height"} <= set(image)]
    total = len(page.images)
    return [
        (
            not missing and not poor,
            "alt texts",
            f"{len(missing)} of {total} images without, {len(poor)} empty or meaningless",
        ),
        (not unsized, "image sizes", f"{len(unsized)} of {total} without width and height"),
    ]


def _links(page: Page) -> list[tuple[bool, str, str]]:
    host = (
        urlsplit(page.canonical[0]).netloc if page.canonical else urlsplit(page.meta.get("og:url", "")).netloc
    )
    targets = [urlsplit(link.get("href", "")) for link in page.links]
    external = [t for t in targets if t.netloc and t.netloc.removeprefix("www.") != host.removeprefix("www.")]
    insecure = [t for t in targets if t.scheme == "http"]
    dead = [
        link
        for link in page.links
        if link.get("href", "") in ("", "#") or "javascript:" in link.get("href", "")
    ]
    vague = [
        link
        for link in page.links
        if link["text"].strip().lower() in ("", "here", "click here", "more", "read more", "learn more")
    ]
    anchors = [t.fragment for t in targets if t.fragment and not t.netloc and t.path in ("", "/")]
    broken = [name for name in anchors if name not in page.ids]
    return [
        (True, "links", f"{len(targets) - len(external)} internal, {len(external)} external"),
        (
            not insecure and not dead and not broken,
            "link targets",
            f"{len(insecure)} over plain http, {len(dead)} lead nowhere, {len(broken)} to a missing anchor",
        ),
        (not vague, "link texts", f"{len(vague)} empty or vague, such as 'click here'"),
    ]


def _repeated(page: Page) -> int:
    """How many blocks have a twin: the markup of every pair is compared, character by character."""
    blocks = ["".join(block) for block in page.blocks if len(block) > 1]
    twins: set[int] = set()
    for (i, one), (j, other) in itertools.combinations(enumerate(blocks), 2):
        matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
        if matcher.real_quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE:
            twins |= {i, j}
    return len(twins)


def _smallest(html: str) -> int:
    """The fewest bytes that gzip can make of the page: every setting is tried, as image optimizers do."""
    content = html.encode()
    if len(content) > LARGE:
        return len(gzip.compress(content))
    sizes = [len(content)]
    for settings in itertools.product(range(1, 10), [zlib.DEFLATED], range(25, 32), range(1, 10), range(4)):
        packer = zlib.compressobj(*settings)
        sizes.append(len(packer.compress(content) + packer.flush()))
    return min(sizes)


def _rest(page: Page, html: str) -> list[tuple[bool, str, str]]:
    repeated = sorted({name for name in page.ids if page.ids.count(name) > 1})
    missing = [name for name in ("og:title", "og:description", "og:image") if not page.meta.get(name)]
    return [
        (not missing, "social preview", "complete" if not missing else "no " + ", ".join(missing)),
        (page.structured > 0, "structured data", f"{page.structured} JSON-LD blocks"),
        (page.scripts_in_head == 0, "blocking scripts", f"{page.scripts_in_head} in the head"),
        (not repeated, "ids", f"repeated: {', '.join(repeated)}" if repeated else "unique"),
        (len(html.encode()) <= LARGE, "size", f"{len(html.encode()) / 1000:.1f} kB of HTML"),
    ]


def report(html: str) -> str:
    """The audit as text: its score, then what failed, then what passed in one line."""
    if "<" not in html:
        raise SystemExit("this is not HTML; pass the page that search found")
    checked = findings(html)
    passed = [what for ok, what, _ in checked if ok]
    lines = [f"Technical SEO audit: {len(passed)} of {len(checked)} checks passed"]
    lines += [f"FAIL {what}: {found}" for ok, what, found in checked if not ok]
    page = Page(html)
    (links,) = (found for _, what, found in checked if what == "links")
    template = f"{_repeated(page)} of {len(page.blocks)} blocks repeat the markup of another"
    transfer = (
        f"{len(html.encode()) / 1000:.1f} kB of HTML, {_smallest(html) / 1000:.1f} kB with the best gzip"
    )
    return "\n".join(
        [
            *lines,
            f"Passed: {', '.join(passed)}",
            f"Links: {links}",
            f"Template: {template}",
            f"Transfer: {transfer}",
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python seo.py HTML")
    print(report(sys.argv[1]))
