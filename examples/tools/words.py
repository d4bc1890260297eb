"""The words of a text, as texts are compared."""

from __future__ import annotations

import re
import unicodedata

ARTICLES = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """The words of a text as texts are compared: lower case, no accents, articles or punctuation."""
    return [word for word in re.findall(r"\w+", bare(text).casefold()) if word not in ARTICLES]


def bare(text: str) -> str:
    """Without accents, possessives, apostrophes and the dots of abbreviations; the case stays."""
    spelled = unicodedata.normalize("NFKD", text)
    kept = "".join(sign for sign in spelled if not unicodedata.combining(sign))
    return re.sub(r"['\u2019]s\b|['\u2019\u2018]|(?<=[^\W\d_])\.(?=[^\W\d_])", "", kept)
