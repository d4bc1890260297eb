"""What was meant as a reference to a result and is none: in a string it would be read as text.

Decides what can't have been meant as text. Everything else in braces stays text: templates,
code, formulas. Refusing a right plan costs more than reading a wrong one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from llmorch.calls import CallId

# An id that lost one of its braces, and one with more in its braces than a result, as in
# "{s1:.2f}" or "{s1, s2}". "{ s1 = 1; }" is code, and its braces are text.
_UNCLOSED = re.compile(r"\{([A-Za-z]\w*)(?:[.\[][^{}\s]{0,40})?(?![^\n{}]{0,60}[}=;])(?![\w.\[(])")
_UNOPENED = re.compile(r"(?<![\w.])([A-Za-z]\w*)(?:[.\[][^{}\s]{0,40})?[ \t]*\}")
_CROWDED = re.compile(r"\{[ \t]*(s\d{1,6})\b[^{}\n=;]{1,60}\}")
_STEM = re.compile(r"([A-Za-z]+)\d{1,6}")


def fragment_in(text: str, known: Collection[CallId]) -> str | None:
    """The first broken reference to one of the ``known`` ids, in a string without its whole ones."""
    for found in (*_UNCLOSED.finditer(text), *_CROWDED.finditer(text)):
        if found.group(1) in known:
            return found.group()
    at, depth = 0, 0
    for found in _UNOPENED.finditer(text):
        if found.group(1) in known:
            depth += text.count("{", at, found.start()) - text.count("}", at, found.start())
            at = found.start()
            if depth <= 0:  # else it is inside braces that are text
                return found.group()
    return None


class Stems:
    """The letters of ids such as ``page3``, and of names in braces that are text so far."""

    def __init__(self, ids: Iterable[CallId]) -> None:
        self._defined = {found.group(1) for id_ in ids if (found := _STEM.fullmatch(id_))}
        self._braced: dict[str, str] = {}

    def undefined(self, id_: CallId, braced: Iterable[str]) -> str | None:
        """Take an id that is defined, and the names that its call has in braces.

        Returns one that must be an id too: ``{page3}`` is no text beside ``page1``.
        """
        if found := _STEM.fullmatch(id_):
            self._defined.add(found.group(1))
        for name in braced:
            if found := _STEM.fullmatch(name):
                self._braced.setdefault(found.group(1), name)
        alike = self._defined & self._braced.keys()
        return self._braced[min(alike)] if alike else None
