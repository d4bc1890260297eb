"""The search for keys finds them: tests that show one, each in its own way, end in a run that fails."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.marked_keys import KEYS, MARK, leaks

LEAKY = """
import base64, logging, os, subprocess, sys

from llmorch.records import Run
from llmorch.errors import ModelError

KEY = os.environ["OPENAI_API_KEY"]

def test_printed(): print("key:", KEY)
def test_errors(): print(KEY, file=sys.stderr)
def test_taken(capfd):
    print(KEY)
    capfd.readouterr()
def test_process(): subprocess.run([sys.executable, "-c", f"print({KEY!r})"], capture_output=True)
def test_debug(): logging.getLogger("httpcore2.http11").debug("headers %r", {"a": KEY})
def test_own_log(caplog):
    logging.getLogger("llmorch").error("no %s", KEY)
def test_traceback_log():
    try:
        raise ValueError(KEY)
    except ValueError:
        logging.getLogger("elsewhere").exception("it raised")
def test_file(tmp_path): (tmp_path / "deep").mkdir(); (tmp_path / "deep" / "saved").write_bytes(b"\\0" + KEY.encode())
def test_error(): ModelError(f"no {KEY}")
def test_packed(tmp_path):
    (tmp_path / "log").write_bytes(b"Basic " + base64.b64encode(b"me:" + KEY.encode()))
def test_record():
    run = Run(query=KEY, technique=None, status="answered", answer=1, error=None, plan=None,
              processors=1, makespan=1.0, lower_bound=1.0)
    run.to_json()
def test_quiet(tmp_path): (tmp_path / "fine").write_text("sk-another")
"""


def searched(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A run of these tests by a pytest of its own, with the search."""
    (folder / "conftest.py").write_text(
        "from tests.conftest import *\nfrom tests.conftest import pytest_configure\n"
    )
    (folder / "test_leaky.py").write_text(text)
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        f"--rootdir={folder}",
        f"--basetemp={folder}/tmp",
    ]
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    with (folder / "out").open("w") as out:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *options, str(folder / "test_leaky.py")],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path},
            check=False,
        )
    said = (folder / "out").read_text()
    (folder / "out").unlink()
    return subprocess.CompletedProcess([], ended.returncode, said)


def test_a_key_that_is_shown_in_any_way_fails_the_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("leaky")
    ended = searched(folder, LEAKY)
    for path in sorted(folder.rglob("*"), reverse=True):  # the search would find it here as well
        if path.is_file() or path.is_symlink():
            path.unlink()
    assert ended.returncode == 1
    found = [line for line in ended.stdout.splitlines() if line.startswith("A KEY IS IN ")]
    ways = {
        "printed": "Captured stdout call",
        "errors": "Captured stderr call",
        "taken": "output of",
        "process": "output of a process",
        "debug": "the log httpcore2.http11",
        "own_log": "the log llmorch",
        "traceback_log": "the log elsewhere",
        "file": "/deep/saved",
        "error": "the message of an error",
        "packed": "test_packed0/log",
        "record": "a run's record",
    }
    for way, where in ways.items():
        assert any(where in line for line in found), (way, ended.stdout[-3000:])
    assert not any("quiet" in line for line in found)


def test_a_run_that_shows_no_key_passes(tmp_path: Path) -> None:
    ended = searched(
        tmp_path, "def test_fine(tmp_path): (tmp_path / 'a').write_text('sk-another'); print('yes')\n"
    )
    assert ended.returncode == 0
    assert "KEY" not in ended.stdout


@pytest.mark.parametrize("before", ["", "m", "me", "me:"])
def test_a_key_is_found_as_it_is_and_packed(before: str) -> None:
    said = f"{before}{MARK}"
    for text in (said, said.encode().hex(), base64.b64encode(f"{said}!".encode()).decode()):
        assert leaks(text)
        assert leaks(text.encode())
        assert not leaks(text[: len(text) // 2])


def test_the_keys_are_in_the_environment_of_every_test() -> None:
    assert {name: os.environ[name] for name in KEYS} == KEYS
