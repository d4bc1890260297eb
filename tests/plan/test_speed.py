"""Reading takes time in proportion to the text, whatever is in it: twice as long, twice the time."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from llmorch.errors import PlanError
from llmorch.plan import Parser, calls_in, parse
from llmorch.plan.spoken import blanked, spoken
from tests.fuzz.shapes import shaped

MOST = 3.0
NOISE = 0.01
"""Seconds of the shorter text below which a ratio says nothing."""


def fed(text: str) -> None:
    parser = Parser()
    for at in range(0, len(text), 4):
        parser.feed(text[at : at + 4])
    parser.finish()


def seconds(read, text: str) -> float:
    begun = time.process_time()
    with suppress(PlanError):
        read(text)
    return time.process_time() - begun


READERS = {
    "parse": parse,
    "fed": fed,
    "reply": lambda text: calls_in(text, ["f"]),
    "blanked": blanked,
    "spoken": spoken,
}
S1 = "s1 = f(x=1)\n"
HARD = [
    S1 + "s2 = f(x='''«{name}\n»''')",
    S1 + "s2 = f(x='''é«{name}é\n»''')",
    S1 + "s2 = f(x=f'«{name} »')",
    S1 + "s2 = f(x='«{»')",
    "s1 = f('é', «a{n}='é', »)",
    "s1 = f(« »x=1)",
    "s1 = f(x=1« + 1»)",
    "«s{n} = f(x={n}, y='a')\n»",
    "«<a{n}>\ns{n} = f(x=1)\n»" + S1,
    "«```python\ns{n} = f(x=1)\n```\n»",
    "«f() »</think>",
    "«1. f() »</think>",
    "«s{n} = f()<think></think>»",
]


@pytest.mark.parametrize("shape", HARD)
@pytest.mark.parametrize("reader", READERS)
def test_twice_the_text_takes_about_twice_the_time(reader, shape) -> None:
    read, (half, whole) = READERS[reader], (shaped(shape, size) for size in (49_000, 98_000))
    ratios = []
    for _ in range(4):  # others use the machine too
        ratios.append(seconds(read, whole) / max(seconds(read, half), NOISE))
        if ratios[-1] < MOST:
            return
    pytest.fail(f"twice the text takes {min(ratios):.1f} times as long")
