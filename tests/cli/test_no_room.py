"""Where the system says no: one clear line and an exit code, an answer that is not lost, and no traceback."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Program

FUNCTIONS = '''
import sys
import time
from llmorch import function

@function(pure=True)
def shout(text: str) -> str:
    """Print much, and return text that is not ASCII."""
    print("x" * 10_000)
    print("é", file=sys.stderr)
    return f"{text} é 漢"

@function(pure=True)
def wait(seconds: float) -> str:
    """Wait."""
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(seconds)
    return "waited"
'''
PLAN = 's1 = shout(text="a")'
ANSWER = "a é 漢\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with functions, a plan that is executed, and what is no file of text."""
    (tmp_path / "shouting.py").write_text(FUNCTIONS)
    (tmp_path / "plan").write_text(PLAN)
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 * 2**30)
    (tmp_path / "sparse.py").symlink_to("sparse")
    (tmp_path / "pipe.py").symlink_to("pipe")
    (tmp_path / "circle.py").symlink_to("circle.py")
    (tmp_path / "sparse_module.py").symlink_to("sparse")
    return tmp_path


def in_shell(files: Path, line: str, **environment: str) -> tuple[int, str, str]:
    """The exit code and both outputs of a line of the shell, in which $X executes the plan, quietly."""
    execute = f"{sys.executable} -m llmorch execute plan -f shouting.py -q"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=files,
        env=os.environ | {"X": execute, "L": f"{sys.executable} -m llmorch"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


CLOSED = "error: standard output can't be written: it is closed\n"
FULL = "error: standard output can't be written: No space left on device\n"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize(
    ("line", "code", "answer", "says", "environment"),
    [
        ("$X 2>&-", 0, ANSWER, "", {}),
        ("$X <&- 2>&-", 0, ANSWER, "", {}),
        ("$X 2>/dev/full", 0, ANSWER, "", {}),
        ("$X >&-", 1, "", CLOSED, {}),
        ("$X <&- >&- 2>&-", 1, "", "", {}),
        ("$X >/dev/full", 1, "", FULL, {}),
        ("$X --json >/dev/full 2>/dev/full", 1, "", "", {}),
        ("$L graph plan >/dev/full", 1, "", FULL, {}),
        ("$L --help >/dev/full", 1, "", FULL, {}),
        ("echo 'x(' | $L execute - --json >&-", 1, "", "as in: s1 = function(name=\"argument\")\n", {}),
        ("$L execute - <&-", 2, "", "standard input can't be read: it is closed\n", {}),
        ("set -o pipefail; $X | head -c0", 1, "", "é\n", {}),
        ("$X", 0, "a \\xe9 \\u6f22\n", "\\xe9\n", ASCII),
        ("ulimit -n 20; $X", 0, ANSWER, "é\n", {}),
        ("ulimit -f 0; $X --save-trace trace", 1, ANSWER, "the trace can't be written to trace: File too large\n", {}),
        ("mkdir gone; cd gone; rmdir ../gone; $L execute ../plan -f shouting", 2, "", "or where Python looks\n", {}),
    ],
)  # fmt: skip
def test_a_stream_or_a_limit_costs_no_answer_and_no_error(
    files: Path, line: str, code: int, answer: str, says: str, environment: dict[str, str]
) -> None:
    done = in_shell(files, line, **environment)
    assert done[:2] == (code, answer)
    assert done[2].endswith(says)
    assert "Traceback" not in done[2]


def read_by(what: str, file: str) -> list[str]:
    """A command line that reads this file as that."""
    return {
        "plan": ["execute", file],
        "functions": ["execute", "plan", "-f", file],
        "saved run": ["explain", file],
        "durations": ["simulate", "plan", "--durations", file],
        "examples": ["run", "hi", "-m", "recorded:none", "--examples", file],
        "replies": ["run", "hi", "-q", "-m", f"recorded:{file}"],
    }[what]


@pytest.mark.parametrize("what", ["plan", "saved run", "durations", "examples", "replies"])
def test_what_is_no_text_of_some_size_is_refused_in_a_line(
    files: Path, what: str, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr("llmorch.machine.PATIENCE", 0.05)
    size = "16 MB" if what == "examples" else "256 MB"
    reasons = {
        "/dev/zero": f"it is larger than {size}",
        "sparse": f"it is larger than {size}",
        "pipe": "nobody writes to this pipe",
        "folder": "it is a folder",
        "binary": "utf-8" if what in ("examples", "replies") else "it is not UTF-8 text",
        "x" * 300: "File name too long",
    }
    for file, reason in reasons.items():
        before = time.monotonic()
        done = program(*read_by(what, file))
        assert done.returncode == (1 if what == "replies" else 2), done
        assert reason.lower() in done.stderr.lower(), done
        assert time.monotonic() - before < 5


def test_what_is_no_file_of_functions_is_refused_in_a_line(
    files: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    reasons = {
        "/dev/zero": "a device or a pipe, not a file",
        "pipe.py": "a device or a pipe, not a file",
        "sparse.py": "it is larger than 16 MB, as no file of Python is",
        "sparse_module": "it is larger than 16 MB, as no file of Python is",
        "circle.py": "Symlink loop",
        "./folder": "a folder, not a file",
        "./binary": "SyntaxError",
        "none.py": "no such file",
    }
    for file, reason in reasons.items():
        done = program(*read_by("functions", file))
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in done.stderr


def test_a_pipe_that_somebody_writes_to_later_is_read(files: Path) -> None:
    code, answer, _ = in_shell(files, "(sleep 0.3; cat plan) >pipe & $L execute pipe -f shouting.py -q")
    assert (code, answer) == (0, ANSWER)


@pytest.mark.parametrize(
    ("home", "cache"),
    [
        (None, None),
        ("", None),
        ("relative", None),
        (None, "/dev/null"),
        ("/dev/null", None),
        ("/", "/proc/none"),
    ],
)
def test_without_a_home_folder_calls_run_and_models_are_listed(
    files: Path,
    home: str | None,
    cache: str | None,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr(pwd, "getpwuid", _nobody)
    monkeypatch.setattr("llmorch.models.weights._fill", _fetched)  # whatever happens here, nothing is fetched
    for name, value in (("HOME", home), ("XDG_CACHE_HOME", cache)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    done = program("execute", "plan", "-f", "shouting.py", "-q")
    assert (done.returncode, done.stdout) == (0, ANSWER)
    assert program("models").returncode == 0
    done = program("models", "--fetch", "local:0.5b")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    if cache or home == "/dev/null":
        assert line.startswith("error: local:0.5b: can't store the weights in ")
    else:
        assert line == "error: there is no home folder to keep files in: set XDG_CACHE_HOME to a folder"


def _nobody(uid: int) -> None:
    raise KeyError(uid)


def _fetched(*_: object) -> None:
    raise AssertionError("weights would have been fetched")


def test_no_memory_is_said_in_a_line(files: Path) -> None:
    said = set()
    for megabytes in (60, 90, 120, 200):
        code, answer, told = in_shell(files, f"ulimit -v {megabytes * 1024}; $X")
        assert (code, answer) in ((0, ANSWER), (1, ""))
        assert "Traceback" not in told
        said.add(code)
    assert 0 in said


@pytest.mark.parametrize(("ignored", "code"), [(True, 0), (False, 130)])
def test_a_run_that_began_deaf_to_interrupts_stays_so(files: Path, ignored: bool, code: int) -> None:
    (files / "plan").write_text("s1 = wait(seconds=0.6)")
    ignore: Callable[[], object] | None = _ignore if ignored else None
    process = subprocess.Popen(
        [sys.executable, "-m", "llmorch", "execute", "plan", "-f", "shouting.py", "-q"],
        cwd=files,
        preexec_fn=ignore,  # noqa: PLW1509  it only sets signals
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    answer, told = process.communicate(timeout=30)
    assert (process.returncode, answer) == (code, "waited\n" if ignored else "")
    assert told == ("" if ignored else "interrupted; stopped: s1\n")


def _ignore() -> None:
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
