"""How a command runs and ends: what it prints, its errors in one line, its exit code, its interruption."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

from llmorch.cli.terminal import say, shown, stream_to, taken, visible, why_not
from llmorch.errors import EvaluationError, FunctionError, LLMOrchError, shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from llmorch.orchestrator import Orchestrator
    from llmorch.result import Result

NOT_RESOLVED, USAGE, INTERRUPTED = 1, 2, 130
PATIENCE = 0.8
"""Seconds that an interrupted run has to end by itself."""


def played(orchestrator: Orchestrator, progress: Any, work: Callable[[], Any]) -> Any:
    """Run to the end with live progress, and leave nothing behind."""

    async def work_and_close() -> Any:
        async with orchestrator:
            with progress, _ended_in_time(progress):
                return await work()

    try:
        return asyncio.run(work_and_close())
    except KeyboardInterrupt:
        say(f"interrupted; {progress.summary()}")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _ended_in_time(progress: Any) -> Iterator[None]:
    """See to it that an interrupt ends the program, also when a function ignores it.

    The worker processes and the local model end with this process. One that was begun deaf to interrupts,
    by nohup or a script's &, stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        yield
        return

    def give_up() -> None:
        try:
            line = f"interrupted; {progress.summary()}\n"
            os.write(2, (visible(line) if os.isatty(2) else line).encode(errors="backslashreplace"))
        finally:
            os._exit(INTERRUPTED)

    def interrupted(*args: Any) -> None:
        timer = threading.Timer(PATIENCE, give_up)
        timer.daemon = True
        with suppress(RuntimeError):  # no thread can be had
            timer.start()
        if callable(before):
            before(*args)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def finish(result: Result, output: TextIO, progress: Any, *, as_json: bool, save_trace: Path | None) -> None:
    from llmorch.plan.evaluate import as_text
    from llmorch.result import json_value

    for note in result.notes:
        say(f"note: {note}")
    lost: Exception | None = None
    try:
        if as_json:
            print_json(output, result.as_json())
        elif result.status == "answered":
            try:
                text = as_text(result.answer)
            except EvaluationError:
                text = str(json_value(result.answer))
            print_text(output, text)
    except (LLMOrchError, BrokenPipeError) as error:  # what else there is to write is not lost with it
        lost = error
    progress.conclude(result)
    if save_trace is not None:
        from llmorch.cli.timeline import chrome_trace

        try:
            save_trace.write_text(json.dumps(chrome_trace(result)), encoding="utf-8")
        except OSError as error:
            lost = lost or LLMOrchError(f"the trace can't be written to {save_trace}: {error.strerror}")
    if result.status != "answered":
        say(f"error: not resolved: {result.error}")
        raise typer.Exit(NOT_RESOLVED)
    if lost is not None:
        raise lost


@contextmanager
def reported() -> Iterator[None]:
    """One clear line for what the user can act on; a traceback only for our defects."""
    try:
        yield
    except LLMOrchError as error:
        say(f"error: {error}")
        raise typer.Exit(USAGE if isinstance(error, FunctionError) else NOT_RESOLVED) from None
    except BrokenPipeError:
        raise typer.Exit(NOT_RESOLVED) from None
    except (OSError, MemoryError, RuntimeError) as error:
        if not (line := shortage(error)):
            raise
        say(f"error: {line}")
        raise typer.Exit(NOT_RESOLVED) from None


@contextmanager
def errors_as_json(output: TextIO | None, orchestrator: Orchestrator, query: str | None) -> Iterator[None]:
    """An error as the JSON object of an unresolved run, where JSON was asked for."""
    try:
        yield
    except LLMOrchError as error:
        if output is not None:
            from llmorch.result import unplanned

            technique = None if query is None else orchestrator.technique
            run = unplanned(query, technique, error, orchestrator.processors)
            with suppress(LLMOrchError, BrokenPipeError):  # the error that came first is the one to tell
                print_json(output, run.to_json() if error.result is None else error.result.as_json())
        raise


@contextmanager
def clean_output() -> Iterator[TextIO]:
    """Standard output for the answer alone: what functions print goes to standard error.

    In the program to its end, for what they made may print as it is deleted.
    """
    before = sys.stdout
    if before is not None:
        before.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = stream_to(1, before, lenient=True)
    try:
        yield stream_to(kept, before)
    finally:
        sys.stdout.flush()
        if not taken():
            sys.stdout = before
            os.dup2(kept, 1)
        os.close(kept)


def print_text(output: TextIO, text: str) -> None:
    """Write a text and a new line. Raises ``BrokenPipeError`` where nobody reads any more, else ``LLMOrchError``."""
    try:
        output.write(f"{shown(text, output)}\n")
        output.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LLMOrchError(f"standard output can't be written: {why_not(error)}") from None


def print_json(output: TextIO, data: object) -> None:
    print_text(output, json.dumps(data, indent=2).replace("\x7f", "\\u007f"))  # all else is escaped by itself


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """The rows as lines whose cells stand below one another."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def counted(number: int, what: str) -> str:
    """A number of things, as in "1 processor"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
