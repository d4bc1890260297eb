"""Keys that no test may find again: they are in the environment of every run of the tests.

At its end, all that the run printed, logged, raised and left in files is searched for them, and one
that is found fails the run. What the tests print and log is looked at as it comes.
"""

from __future__ import annotations

import base64
import logging
import os
import subprocess
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.capture import CaptureFixture

from llmorch.errors import LLMOrchError
from llmorch.records import Message, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MARK = "k3yN0b0dyMayS33"
"""In every key: letters and digits, which stay as they are in JSON, a repr and an address."""
KEYS = {
    "OPENAI_API_KEY": f"sk-{MARK}InTheEnvironment",
    "LLMORCH_TESTS_PASSWORD": f"{MARK}ForADatabase",
    "LLMORCH_TESTS_AUTHORIZATION": f"Bearer {MARK}OfAHeader",
}
LOGGED = ("httpx2", "httpcore2", "openai")
"""The packages below that tell all they do."""
_LARGEST = 64 << 20
"""Bytes that are read of one file."""


def _packed(text: bytes) -> Iterator[bytes]:
    """What a text looks like within base64, at each of the three places where it may begin."""
    for before, left in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(bytes(before) + text)
        yield whole[left : len(whole) - 4]


_FORMS = (MARK.encode(), MARK.encode().hex().encode(), *_packed(MARK.encode()))
_TEXTS = [form.decode() for form in _FORMS]


def leaks(said: str | bytes | None) -> bool:
    """Whether a text has a marked key in it, as it is or packed."""
    if isinstance(said, str):
        return any(form in said for form in _TEXTS)
    return said is not None and any(form in said for form in _FORMS)


class MarkedKeys:
    """What the run of the tests shows of the keys: where, and in which test."""

    def __init__(self, folders: Callable[[], list[Path]]) -> None:
        self.found: list[str] = []
        self._folders = folders
        self._undo: list[tuple[Any, str, Any]] = []
        self._format = logging.Formatter().format
        self._before = {name: os.environ.get(name) for name in KEYS}

    def look(self, said: object, where: str) -> None:
        """Remember where a key is in a text."""
        if isinstance(said, str | bytes) and leaks(said):
            self.found.append(f"{where} of {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}")

    def begin(self) -> None:
        """Have the keys in the environment, and see all that is said from here on."""
        os.environ.update(KEYS)
        self._see(CaptureFixture, "readouterr", lambda told: (("output", told.out), ("errors", told.err)))
        self._see(
            subprocess.Popen,
            "communicate",
            lambda told: (("output of a process", told[0]), ("errors of a process", told[1])),
        )
        self._see(Run, "to_json", lambda data: [("a run's record", str(data))])
        self._see(Message, "to_json", lambda data: [("a message's record", str(data))])
        look, init, call = self.look, LLMOrchError.__init__, logging.Logger.callHandlers

        def raised(error: LLMOrchError, message: str = "") -> None:
            look(message, "the message of an error")
            init(error, message)

        def logged(logger: logging.Logger, record: logging.LogRecord) -> None:
            look(self._written(record), f"the log {record.name}")
            call(logger, record)

        self._put(LLMOrchError, "__init__", raised)
        self._put(logging.Logger, "callHandlers", logged)  # past the filters of its logger

    def end(self) -> None:
        """Look through what was left in files, and leave everything as it was."""
        for folder in self._folders():
            for path in files_in(folder):
                with path.open("rb") as file:
                    self.look(file.read(_LARGEST), f"the file {path}")
        for owner, name, before in reversed(self._undo):
            setattr(owner, name, before)
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    def _written(self, record: logging.LogRecord) -> str:
        try:
            return self._format(record)
        except Exception:  # its arguments don't fit; whoever logs it hears of that
            return f"{record.msg} {record.args}"

    def _put(self, owner: Any, name: str, by: Any) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, by)

    def _see(self, owner: Any, name: str, parts: Callable[[Any], Any]) -> None:
        """Look at what a method returns."""
        method = getattr(owner, name)

        @wraps(method)
        def seen(*args: Any, **options: Any) -> Any:
            returned = method(*args, **options)
            for where, said in parts(returned):
                self.look(said, where)
            return returned

        self._put(owner, name, seen)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Have debug logs made; not where a thread that logs is forked, nor where a test asks for logs itself."""
        if "fork" in item.name or "caplog" in getattr(item, "fixturenames", ()):
            return (yield)
        before = [(one, one.level, one.propagate) for one in map(logging.getLogger, LOGGED)]
        for logger, _, _ in before:
            logger.setLevel(logging.DEBUG)
            logger.propagate = False  # what no test expects stays out of what pytest catches
        try:
            return (yield)
        finally:
            for logger, level, propagate in before:
                logger.setLevel(level)
                logger.propagate = propagate

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What nobody asked for in a test, and how it failed."""
        for name, said in report.sections:
            self.look(said, name)
        if report.failed:
            self.look(report.longreprtext, "how a test failed")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.end()
        if self.found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.found:
            terminalreporter.section("keys that were shown", red=True)
            for where in dict.fromkeys(self.found):
                terminalreporter.line(f"A KEY IS IN {where}")


def files_in(folder: Path) -> Iterator[Path]:
    """The files of a folder and those below it; none that a link leads to, no pipes and no devices."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = type(folder)(root) / name
            if not path.is_symlink() and path.is_file() and os.access(path, os.R_OK):
                yield path
