"""What a terminal gets of texts that come from outside: nothing that steers it, or hides in it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import unicodedata
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from llmorch import Orchestrator, UnresolvedQuery
from llmorch.cli.progress import Progress
from llmorch.cli.terminal import set_raw, visible
from llmorch.models.recorded import RecordedModel
from llmorch.schedule import Abort
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path

ESCAPES = {
    "colour": "\x1b[31m",
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "c1": "\x9b31m\x9d0;owned\x9c",
    "return": "pay 100\rpay 1",
    "backspace": "100\b\b\b1",
    "delete": "\x7f",
    "null": "\x00",
    "bidi": "\u202egpj.exe\u2066\u2069\u200f",
    "zero width": "pay\u200bpal\u2060\ufeff",
    "lines": "one\u2028two\u2029three\x85four\x0bfive\x0c",
    "tags": "\U000e0041\U000e007f",
    "surrogate": "\ud83d",
}
HOSTILE = "".join(ESCAPES.values())
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What progress is drawn with."""

FUNCTIONS = f'''
import logging
import warnings
from llmorch import function

HOSTILE = {HOSTILE!a}

@function(pure=True)
def page(name: str = "") -> str:
    """A page of the web."""
    return "page " + HOSTILE

@function(pure=True)
def broken(name: str = "") -> str:
    """Fail as the page says."""
    logging.getLogger("web").warning("logged %s", HOSTILE)
    warnings.warn("warned " + HOSTILE)
    raise ValueError(HOSTILE)
'''


@pytest.fixture
def functions(tmp_path: Path) -> str:
    path = tmp_path / "web.py"
    path.write_text(FUNCTIONS)
    return str(path)


def on_terminal(*args: str, stdin: str = "", drawn: bool = False) -> tuple[int, str]:
    """Run the program on a terminal: its exit code, and what that got, without what progress is ``drawn`` with."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "llmorch", *args]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert process.stdin is not None
    process.stdin.write(stdin.encode("utf-8", "surrogatepass"))
    process.stdin.close()
    told = b""
    try:
        while piece := os.read(ours, 65536):
            told += piece
    except OSError:  # how a terminal says that nobody writes any more
        pass
    os.close(ours)
    text = told.decode("utf-8").replace("\r\n", "\n")
    return process.wait(30), OURS.sub("", text) if drawn else text


def steers(text: str) -> set[str]:
    """The characters of a text that could steer a terminal or hide in it."""
    return {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n", "\t"}


@pytest.mark.parametrize("text", ESCAPES.values(), ids=ESCAPES)
def test_what_steers_a_terminal_is_written_as_python_does(text: str) -> None:
    told = visible(f"a{text}b")
    assert told == "".join(ascii(one)[1:-1] if one in steers(text) else one for one in f"a{text}b")
    assert steers(told) == set()


def test_what_people_write_is_shown_as_it_is() -> None:
    text = "tab\tnew\nline é ü ß 漢字 עברית العربية हिन्दी 👍🏽 ❤️ \xa0 \\x1b"
    assert visible(text) == text
    assert visible("one\r\ntwo") == "one\ntwo"


def test_raw_is_raw() -> None:
    try:
        assert set_raw(True)
        assert visible(HOSTILE) == HOSTILE
    finally:
        set_raw(False)


def test_the_answer_is_visible_on_a_terminal_raw_on_request_and_raw_in_a_pipe(functions: str) -> None:
    args = ("execute", "-", "-f", functions, "-q")
    code, told = on_terminal(*args, stdin="s1 = page()")
    assert (code, told) == (0, f"page {visible(HOSTILE)}\n")
    code, told = on_terminal(*args, "--raw", stdin="s1 = page()")
    assert (code, told) == (0, f"page {HOSTILE}\n".encode(errors="backslashreplace").decode())
    command = [sys.executable, "-m", "llmorch", *args]
    piped = subprocess.run(command, input=b"s1 = page()", capture_output=True, check=True)
    assert piped.stdout == f"page {HOSTILE}\n".encode(errors="backslashreplace")


def test_errors_progress_and_plans_are_visible_on_a_terminal(functions: str, tmp_path: Path) -> None:
    plan = f's1 = page(name="{ESCAPES["bidi"]}")\ns2 = broken(name="{{s1}}")'
    code, told = on_terminal("execute", "-", "-f", functions, stdin=plan, drawn=True)
    assert code == 1
    assert not steers(told)
    assert "error: not resolved: s2 (broken) failed: ValueError: \\x1b[31m" in told
    assert "\\u202egpj.exe" in told
    assert "logged " in told  # and broken into lines, as it was said while progress was drawn
    assert "UserWarning: warned" in told.replace("\n", " ")


def test_a_saved_run_is_explained_and_its_plan_drawn_visibly(functions: str, tmp_path: Path) -> None:
    result = Orchestrator(model=ScriptedModel(["y"]), learn=False).execute_sync('s1 = self(prompt="x")')
    run = json.loads(json.dumps(result.as_json()))
    run["calls"][0] |= {"function": f"page{HOSTILE}", "kind": "compute", "dispatched": 0.1, "completed": 2.0}
    run["calls"][0]["processors"] = [0]
    run |= {"makespan": 2.0, "lower_bound": 1.0}
    saved = tmp_path / "run.json"
    saved.write_text(json.dumps(run))
    code, told = on_terminal("explain", str(saved))
    assert (code, steers(told)) == (0, set())
    assert "page\\x1b[31m" in told
    code, told = on_terminal("graph", "-", stdin=f's1 = page(name="{ESCAPES["bidi"]}")')
    assert (code, steers(told)) == (0, set())


def test_mistakes_of_a_command_line_are_quoted_visibly(tmp_path: Path) -> None:
    name = ESCAPES["title"] + ESCAPES["bidi"] + ESCAPES["colour"]
    for args in (["execute", name], [name], ["execute", "-", "-f", f"{name}.py"]):
        code, told = on_terminal(*args)
        assert code == 2
        assert steers(told) == set(), args
        assert "\\x1b]0;owned\\x07" in told


def test_what_a_model_wrote_is_visible_while_it_comes_and_in_errors(tmp_path: Path) -> None:
    file = tmp_path / "replies.jsonl"
    model = RecordedModel(file, record=ScriptedModel([f"{HOSTILE[:-1]} ("] * 9))
    with pytest.raises(UnresolvedQuery):
        Orchestrator(model=model, learn=False).run_sync("Do it.")
    code, told = on_terminal("run", "Do it.", "-m", f"recorded:{file}", drawn=True)
    assert code == 1
    assert steers(told) == set()


def test_a_draft_is_drawn_visibly_and_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    progress = Progress()
    for piece in (HOSTILE[:10], HOSTILE[10:], "x" * 10_000_000, "\n" * 10_000_000, HOSTILE):
        progress.wrote(piece)
    Console(file=drawn, width=80).print(progress._drawn())
    assert steers(drawn.getvalue()) == set()
    assert "\\x1b]0;owned\\x07" in drawn.getvalue()
    assert len(drawn.getvalue()) < 10_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_thread_to_draw_with_progress_is_told_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    progress = Progress()
    monkeypatch.setattr(threading, "_start_new_thread", start)
    with progress:
        progress.planning(f"model{ESCAPES['title']}")
    assert sys.stderr is terminal
    assert OURS.sub("", terminal.getvalue()).endswith("\nplanning by model\\x1b]0;owned\\x07\n")


def test_a_line_of_progress_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().observe(Abort("x" * 10_000_000), 0.0)
    assert len(capsys.readouterr().err) == 2_001


def test_json_on_a_terminal_is_json(functions: str) -> None:
    code, told = on_terminal("execute", "-", "-f", functions, "-q", "--json", stdin="s1 = page()")
    assert code == 0
    assert json.loads(told)["answer"].startswith("page \x1b[31m")
    assert steers(told) == set()
