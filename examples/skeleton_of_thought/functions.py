"""Skeleton-of-Thought (arXiv 2307.15337) as three functions: an outline, a point of it, and their text.

The answer's points don't need each other, so a plan expands all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Generator  # noqa: TC003  the declarations read it

from llmorch import function

_POINT = re.compile(r"^\s*(?:\d+[.)]|[-*])\s*(.+?)\s*$", re.MULTILINE)


@function(asks_model=True, pure=True)
def skeleton(question: str, points: int = 4) -> Generator[str, str, list[str]]:
    """Outline the answer to a question as a list of short points.

    Args:
        question: What is to be answered.
        points: How many points the outline has.
    """
    reply = yield (
        f"Question: {question}\nWrite the skeleton of an answer: a numbered list of exactly {points} points, "
        "each of 3 to 5 words, and nothing else."
    )
    found = [point.group(1) for point in _POINT.finditer(reply)]
    if len(found) < points:
        raise ValueError(f"the skeleton has {len(found)} points instead of {points}")
    return found[:points]


@function(asks_model=True, pure=True)
def expand(question: str, point: str) -> str:
    """Write out one point of the skeleton, in one or two sentences.

    Args:
        question: What is to be answered.
        point: The point, as the skeleton has it.
    """
    return (
        f"Question: {question}\nWrite one or two short sentences on this point of the answer, and nothing "
        f"else: {point}"
    )


@function(kind="inout", pure=True)
def assemble(skeleton: list[str], parts: list[str]) -> str:
    """Put the parts together, each below its point.

    Args:
        skeleton: The points.
        parts: What was written on each of them, in the same order.
    """
    pairs = enumerate(zip(skeleton, parts, strict=True), 1)
    return "\n".join(f"{at}. {point}\n   {' '.join(part.split())}" for at, (point, part) in pairs)
