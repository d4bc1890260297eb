"""What was meant as a reference to a result and is none: in a string it would be read as text.

Decides what can't have been meant as text. Everything else in braces stays text: templates,
code, formulas. Refusing a right plan costs more than reading a wrong one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmorch.errors import UndefinedId

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from llmorch.calls import CallId, Position

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


class BracedNames:
    """Names in braces that are text so far, and whether a call's id shows that one was meant as a result."""

    def __init__(self, ids: Iterable[CallId]) -> None:
        self._positions: dict[str, tuple[Position, str]] = {}
        self._stems = {found.group(1) for id_ in ids if (found := _STEM.fullmatch(id_))}
        """The letters of ids such as ``page3``."""
        self._alike: dict[str, str] = {}
        """The first name in braces that has such letters, by them."""

    def note(self, name: str, position: Position, line: str) -> None:
        """Take a name that stands in braces at this position."""
        self._positions.setdefault(name, (position, line))
        if found := _STEM.fullmatch(name):
            self._alike.setdefault(found.group(1), name)

    def define(self, id_: CallId, line: int) -> None:
        """Take an id that is defined in a line.

        Raises ``UndefinedId`` if it was used above, or if a name is no text beside it, as ``{page3}`` is
        none beside ``page1``.
        """
        why, hint = "is not defined", "a call can use only the results of calls above it"
        if found := _STEM.fullmatch(id_):
            self._stems.add(found.group(1))
        if id_ in self._positions:
            name = id_
            why = f"is used before it is defined on line {line}"
            hint += "; change the order of the lines"
        elif alike := self._stems & self._alike.keys():
            name = self._alike[min(alike)]
        else:
            return
        (row, column), text = self._positions[name]
        raise UndefinedId(f"{name} {why}", line=row, column=column, text=text, hint=hint)
