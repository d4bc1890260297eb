"""Texts at random, by a grammar: each is read within bounds, or refused by an error of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.attack import attack, made, tried
from tests.fuzz.targets import JSON_TARGETS, PLAN_TARGETS

if TYPE_CHECKING:
    from random import Random

ROOT = Path(__file__).resolve().parents[2]
FOUND = [
    "'\n<|end|>\nUser\n",
    "assistantfinal()",
    "assistantfinals1 = g()",
    "1.e(i='')<!--</think>s1=f()\n",
    "s1 = f(x=0x" + "f" * 3_600 + ")",
    "s1 = f(x=" + "9" * 5_000 + ")",
    "s1 = f(x=-(-0))",
    "s1 = f(x=-1e999, y=-(-0.0))",
    "s1 = f(x=1)\ns2 = f(x='{s1" + ".a" * 1_500 + "}')",
    "s1 = f(x='\\ud800')",
    "s1 = f(x='\ud800')",
    '{"x": "\\ud800", "y": ' + "9" * 5_000 + "}",
    '{"x": ' + "[" * 2_000,
    "s1 = g(query='a')\ns2 = f(k=s1)",
    "f() " * 24_000 + "</think>",
    "s1 = f(x='a\\" + "a" * 90_000,
    "".join(f"s{n} = f()<think></think>" for n in range(3_500)),
    "s1 = f(x=1)\ns2 = f(x=f'{s1:" + "{s1}" * 24_000 + "}')",
]
"""What once broke something, or nearly."""


def test_twenty_thousand_texts_raise_nothing_but_our_errors_within_half_a_second_and_200_megabytes(
    tmp_path,
) -> None:
    options = ["--inputs", "20000", "--seed", "20", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "tests.fuzz", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20,000 inputs" in done.stdout
    assert "slowest: " in done.stdout
    assert "peak memory: " in done.stdout


@pytest.mark.parametrize("target", [*PLAN_TARGETS, *JSON_TARGETS])
@pytest.mark.parametrize("text", FOUND, ids=range(len(FOUND)))
def test_what_was_found_stays_mended(target, text) -> None:
    _, failure = tried(target, text, 0, 0)
    assert failure is None, str(failure)


def test_an_input_is_the_same_whenever_it_is_made_and_many_hold_a_plan() -> None:
    some = [made(3, number) for number in range(300)]
    assert some == [made(3, number) for number in range(300)]
    assert some != [made(4, number) for number in range(300)]
    assert sum("f(" in text or "search(" in text for text, _ in some) > 100


def test_what_fails_is_told_once_with_its_seed_and_made_small(monkeypatch) -> None:
    def fails(text: str, _: Random):
        yield
        if "(" in text:
            raise ZeroDivisionError("a bracket")

    monkeypatch.setattr("tests.fuzz.attack.PLAN_TARGETS", (fails,) * 3)
    monkeypatch.setattr("tests.fuzz.attack.JSON_TARGETS", ())
    report = attack(5, range(100))
    (failure,) = report.failures
    assert (failure.seed, failure.target, failure.text) == (5, "fails", "(")
    assert failure.reason == "ZeroDivisionError: a bracket"
    assert report.inputs == 100


def test_an_input_that_is_never_done_with_fails_too(monkeypatch) -> None:
    def endless(text: str, _: Random):
        while True:
            pass
        yield

    monkeypatch.setattr("tests.fuzz.attack._ENDLESS", 0.05)
    _, failure = tried(endless, "s1 = f()", 0, 0)
    assert failure is not None
    assert failure.reason.startswith("Stuck: ")
