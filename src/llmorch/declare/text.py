"""Texts of one line: what an error says of somebody's value, and a text that is cut where it is too long."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def one_line(text: object) -> str:
    """A text on one line, without the address of any object."""
    return _ADDRESS.sub("", " ".join(str(text).split()))[:300]


def brief(value: object) -> str:
    """How Python writes a value, in one short line whatever it is: its own methods may raise."""
    try:
        return shortened(one_line(repr(value)), 100)
    except Exception:
        return f"a {type(value).__name__}"


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters on one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: max(0, most - 3)].rstrip()}..."
