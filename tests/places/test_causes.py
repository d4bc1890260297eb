"""The line that tells an exception tells its notes, members and causes, within its bound, whatever they are."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.places.failure import DETAIL, MESSAGE, described, line_of

if TYPE_CHECKING:
    from collections.abc import Callable


def noted(error: BaseException, *notes: str) -> BaseException:
    for note in notes:
        error.add_note(note)
    return error


def caused(error: BaseException, cause: BaseException | None) -> BaseException:
    try:
        raise error from cause
    except BaseException as raised:
        return raised


def while_handling(first: BaseException, error: BaseException, *, hidden: bool = False) -> BaseException:
    try:
        try:
            raise first
        except BaseException:
            if hidden:
                raise error from None
            raise error  # noqa: B904 - its context is what is tried
    except BaseException as raised:
        return raised


def of_task_group(*errors: BaseException) -> BaseException:
    async def fail(error: BaseException) -> None:
        raise error

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for error in errors:
                group.create_task(fail(error))

    try:
        asyncio.run(main())
    except BaseException as raised:
        return raised
    raise AssertionError


def of_a_timeout() -> BaseException:
    async def main() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(10)

    try:
        asyncio.run(main())
    except BaseException as raised:
        return raised
    raise AssertionError


GONE = "page 7 was removed"
TABLE: list[tuple[Callable[[], BaseException], str]] = [
    (lambda: ValueError(GONE), f"ValueError: {GONE}"),
    (lambda: ValueError("two\n  lines"), "ValueError: two lines"),
    (ValueError, "ValueError"),
    (lambda: noted(ValueError("bad page"), "try 1", "or\n2"), "ValueError: bad page; try 1; or 2"),
    (lambda: noted(ValueError("bad page"), "bad page", ""), "ValueError: bad page"),
    (
        lambda: caused(OSError("can't load"), ValueError(GONE)),
        f"OSError: can't load; caused by ValueError: {GONE}",
    ),
    (lambda: caused(OSError(f"can't load: {GONE}"), ValueError(GONE)), f"OSError: can't load: {GONE}"),
    (lambda: caused(OSError("no key x"), KeyError("x")), "OSError: no key x"),
    (
        lambda: caused(OSError("page 77"), ValueError("page 7")),
        "OSError: page 77; caused by ValueError: page 7",
    ),
    (lambda: caused(OSError("late"), TimeoutError()), "OSError: late; caused by TimeoutError"),
    (
        lambda: caused(OSError("a"), caused(ValueError("b"), KeyError("c"))),
        "OSError: a; caused by ValueError: b; caused by KeyError: 'c'",
    ),
    (  # what is left out may itself have a cause that isn't told
        lambda: caused(OSError("it is: b"), caused(ValueError("b"), KeyError("c"))),
        "OSError: it is: b; caused by KeyError: 'c'",
    ),
    (
        lambda: caused(OSError("a"), noted(ValueError("b"), "n")),
        "OSError: a; caused by ValueError: b; n",
    ),
    (
        lambda: while_handling(KeyError("x"), OSError("no page")),
        "OSError: no page; while handling KeyError: 'x'",
    ),
    (lambda: while_handling(KeyError("x"), OSError("no page"), hidden=True), "OSError: no page"),
    (of_a_timeout, "TimeoutError"),
    (
        lambda: of_task_group(ValueError(GONE)),
        f"ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception): [ValueError: {GONE}]",
    ),
    (
        lambda: of_task_group(ValueError("a"), KeyError("b")),
        "ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions): [ValueError: a | KeyError: 'b']",
    ),
    (
        lambda: noted(ExceptionGroup("g", [caused(OSError("a"), ValueError("b")), ValueError("c")]), "n"),
        "ExceptionGroup: g (2 sub-exceptions); n: [OSError: a; caused by ValueError: b | ValueError: c]",
    ),
    (
        lambda: BaseExceptionGroup(
            "g", [ExceptionGroup("h", [ValueError("a"), ValueError("a")]), SystemExit(3)]
        ),
        "BaseExceptionGroup: g (2 sub-exceptions): "
        "[ExceptionGroup: h (2 sub-exceptions): [ValueError: a] | SystemExit: 3]",
    ),
    (
        lambda: caused(OSError("a"), ExceptionGroup("g", [ValueError("b")])),
        "OSError: a; caused by ExceptionGroup: g (1 sub-exception): [ValueError: b]",
    ),
]


@pytest.mark.parametrize(("made", "line"), TABLE)
def test_one_line_tells_all_that_an_exception_says(made: Callable[[], BaseException], line: str) -> None:
    assert line_of(made()) == line


class HostileError(Exception):
    """An exception that raises whatever is read of it."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


class OddText(str):
    """A text that isn't what it says."""

    __slots__ = ()

    def splitlines(self, keepends: bool = False) -> Any:
        raise RuntimeError

    def __getitem__(self, key: object) -> Any:
        return None


class OddTextError(Exception):
    def __str__(self) -> str:
        return OddText("odd")


def with_notes(notes: object) -> BaseException:
    error = ValueError("x")
    error.__notes__ = notes  # type: ignore[assignment]
    return error


def in_a_circle() -> BaseException:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def chained(count: int) -> BaseException:
    error: BaseException = ValueError("root")
    for number in range(count):
        above = ValueError(f"level {number}")
        above.__cause__ = error
        error = above
    return error


def nested(count: int) -> BaseException:
    error: Exception = ValueError("leaf")
    for _ in range(count):
        error = ExceptionGroup("g", [error])
    return error


HOSTILE: list[tuple[Callable[[], BaseException], str]] = [
    (HostileError, "HostileError: (its message can't be read)"),
    (OddTextError, "OddTextError: odd"),
    (lambda: caused(OSError("a"), HostileError()), "caused by HostileError: (its message can't be read)"),
    (lambda: ExceptionGroup("g", [HostileError(), ValueError("b")]), "| ValueError: b]"),
    (lambda: with_notes(3), "ValueError: x"),
    (lambda: with_notes([HostileError(), "n"]), "ValueError: x; (its message can't be read); n"),
    (in_a_circle, "ValueError: first; caused by KeyError: 'second'"),
    (lambda: ExceptionGroup("g", [ValueError(str(n)) for n in range(10_000)]), "| and 9,990 more]"),
    (lambda: ExceptionGroup("g", [ValueError("same")] * 10_000), "[ValueError: same | and 9,951 more]"),
    (lambda: chained(10_000), "ValueError: level 9999; caused by ValueError: level 9998"),
    (lambda: chained(100), "caused by ValueError: root"),
    (lambda: nested(10_000), "ExceptionGroup"),
    (lambda: caused(OSError("x" * 10**6), ValueError("the cause")), "caused by ValueError: the cause"),
    (lambda: noted(ValueError("x" * 10**6), *["y" * 10**6] * 50, "last"), "; yyy"),
    (lambda: noted(caused(OSError("a"), ValueError("z" * 10**6)), "the note"), "; the note; caused by"),
]


@pytest.mark.parametrize(("made", "part"), HOSTILE)
def test_whatever_an_exception_is_what_is_told_of_it_is_bounded_and_soon(made, part: str) -> None:
    error = made()
    began = time.process_time()
    line, traceback = described(error)
    assert time.process_time() - began < 2
    assert part in line
    assert len(line) <= MESSAGE
    assert "\n" not in line
    assert len(traceback) <= DETAIL


def test_of_a_long_message_and_its_cause_both_are_told_as_far_as_there_is_room() -> None:
    line = line_of(caused(OSError("x" * 5_000), ValueError("y" * 5_000)))
    assert len(line) <= MESSAGE
    assert (line.count("x") > 900, line.count("y") > 900) == (True, True)
