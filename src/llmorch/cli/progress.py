"""Live progress on standard error: a line a call on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmorch.cli.end import counted
from llmorch.cli.terminal import say, visible
from llmorch.plan import render, render_call
from llmorch.schedule import (
    Abort,
    BatchEnded,
    CallAdded,
    CallCancelled,
    CallCompleted,
    CallFailed,
    Cancel,
    Dispatch,
    Keep,
    PlanExtended,
    PlanRevised,
    Refuse,
    Share,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from llmorch.calls import CallId, FunctionCall
    from llmorch.result import Result
    from llmorch.schedule import Command, Event
    from llmorch.techniques import Recovery

_MARKS = {"waiting": "·", "running": "▶", "completed": "✓", "failed": "✗", "stopped": "■", "unused": "-"}
_STYLES = {"running": "cyan", "completed": "green", "failed": "red", "stopped": "yellow"}
_WIDTH = 72
_LINE = 2_000
"""The longest line, in characters."""
_DRAFT = 4_000
_DRAFT_LINES = 20
"""As much of the plan's text as is drawn while it is written: its end."""


@dataclass
class _Row:
    text: str
    state: str = "waiting"
    attempt: int = 1
    processor: int | None = None
    began: float = 0.0
    ended: float | None = None


class Progress:
    """Watches a run through its events and commands; a context manager while it lasts."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty() and not quiet
        self._rows: dict[CallId, _Row] = {}
        self._before: dict[CallId, _Row] = {}
        self._draft = ""
        self._origin = time.monotonic()
        self._offset: float | None = None
        self._live: Any = None
        self._fetching = ("", 0, 0)
        self._tenth = -1
        """How many tenths of the weights a line has reported."""
        self._revised = False
        self._over = False

    def __enter__(self) -> Progress:
        if self._terminal:
            from rich.console import Console
            from rich.live import Live

            options: dict[str, Any] = {"refresh_per_second": 8, "transient": True, "redirect_stdout": False}
            self._live = Live(console=Console(stderr=True), get_renderable=self._drawn, **options)
            try:
                self._live.start()
            except RuntimeError:  # it takes a thread, and none can be had: then it is told in lines
                self._live.stop()
                self._live, self._terminal = None, False
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Draw nothing meanwhile: somebody is asked."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        try:
            yield
        finally:
            if live is not None and not self._over:
                live.start()
                self._live = live

    def planning(self, model: str) -> None:
        """Say that the model has been asked for a plan."""
        self._line(f"planning by {model}")

    def fetched(self, done: int, total: int, source: str) -> None:
        """Take note of how much of a model's weights is here."""
        self._fetching = (source, done, total)
        tenth = done * 10 // max(1, total)
        if tenth != self._tenth:
            self._tenth = tenth
            self._line(_fetched(*self._fetching))

    def wrote(self, text: str) -> None:
        """Take note of a piece of the plan's text."""
        self._draft = (self._draft + text)[-_DRAFT:]

    def observe(self, message: Event | Command, at: float) -> None:
        """Take note of an event or a command."""
        if self._offset is None:
            self._offset = time.monotonic() - at
        match message:
            case PlanExtended(calls, _, unused):
                for call in calls:
                    row = self._add(call)
                    if self._revised and row.text not in (before.text for before in self._before.values()):
                        self._revised = False
                        self._line("the plan is revised")
                for id_ in unused & self._rows.keys():
                    if self._rows[id_].state == "waiting":
                        self._rows[id_].state = "unused"
            case CallAdded(call):
                self._add(call)
            case PlanRevised():
                # Said at the first call that is new: a repair first holds what was lost, and adds nothing.
                self._before, self._rows, self._draft = self._before | self._rows, {}, ""
                self._revised = True
            case Keep(id_, attempt, before):
                kept = self._before.pop(before, None)
                if kept is not None:
                    kept.text = self._rows[id_].text if id_ in self._rows else kept.text
                    kept.attempt = attempt
                    self._rows[id_] = kept
            case Dispatch(id_, attempt, processor, beside, device, together):
                for other, number in ((id_, attempt), *together):
                    row = self._row(other)
                    row.state, row.processor, row.began, row.ended = "running", processor, at, None
                    row.attempt = number
                row = self._row(id_)
                where = "" if processor is None else f" on processor {processor}"
                where += "".join(f" and {number}" for number in beside)
                where += "" if device is None else f", GPU {device}"
                where += f" with {', '.join(other for other, _ in together)}" if together else ""
                again = "" if attempt == 1 else f", attempt {attempt}"
                self._line(f"{at:8.2f} s  started{where}{again}: {row.text}")
            case Share(id_, same_as):
                self._never_began(id_, "completed", at, f", the same as {same_as}")
            case Refuse(id_, error):
                self._never_began(id_, "failed", at, f": {error}")
            case Abort(error):
                self._line(f"{at:8.2f} s  {error}")
            case BatchEnded(ended):
                for event in ended:
                    self.observe(event, at)
            case CallCompleted(id_, attempt):
                self._end(id_, attempt, "completed", at)
            case CallFailed(id_, attempt, error):
                self._end(id_, attempt, "failed", at, f": {error}")
            case Cancel(id_, attempt) | CallCancelled(id_, attempt):
                self._end(id_, attempt, "stopped", at)

    def _add(self, call: FunctionCall) -> _Row:
        text = visible(render_call(call)) if self._terminal else render_call(call)
        row = self._rows[call.id] = _Row(text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}...")
        return row

    def _row(self, call: CallId) -> _Row:
        """The row of a call; one of the plan before may come back, at the end of a run that is given up."""
        if call not in self._rows:
            self._rows[call] = self._before.pop(call, _Row(call))
        return self._rows[call]

    def _never_began(self, call: CallId, state: str, at: float, why: str) -> None:
        row = self._row(call)
        row.state, row.began, row.ended = state, at, at
        self._line(f"{at:8.2f} s  {state}: {call}{why}")

    def _end(self, call: CallId, attempt: int, state: str, at: float, why: str = "") -> None:
        for row in (self._rows.get(call), self._before.get(call)):
            if row is not None and row.state == "running" and row.attempt == attempt:
                row.state, row.ended = state, at
                self._line(f"{at:8.2f} s  {state}: {call} after {at - row.began:.2f} s{why}")
                return

    def _line(self, text: str) -> None:
        if not self._quiet and not self._terminal:
            say(_bounded(text))

    def summary(self) -> str:
        """What had finished, for a run that was interrupted."""
        by_state: dict[str, list[str]] = {}
        for call, row in self._rows.items():
            by_state.setdefault(row.state, []).append(call)
        states = (f"{state}: {', '.join(calls)}" for state, calls in by_state.items())
        return "; ".join(states) or "no call had started"

    def conclude(self, result: Result) -> None:
        """Print the plan and the timeline."""
        if self._quiet:
            return
        from llmorch.cli.timeline import text

        usage, where = result.usage, counted(result.processors, "processor")
        total = f"{result.makespan:.2f} s on {where} (at best {result.lower_bound:.2f} s)"
        if usage.requests:
            total += (
                f"; {counted(usage.requests, 'request')} to the model took {usage.seconds:.1f} s: "
                f"{usage.input_tokens} tokens in and {usage.output_tokens} out"
            )
        lines = [*map(_in_words, result.recoveries), f"\nplan\n{_indented(render(result.plan))}"]
        lines += [f"timeline\n{_indented(text(result))}", total]
        say("\n".join(map(_bounded, "\n".join(lines).split("\n"))))

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        source, done, total = self._fetching
        if done < total:
            from rich.progress_bar import ProgressBar

            bar = ProgressBar(total=total, completed=done, width=60)
            return Group(Text(visible(_fetched(source, done, total))), bar)
        if not self._rows:
            waited = time.monotonic() - self._origin
            draft = visible(self._draft).split("\n")[-_DRAFT_LINES:]
            return Group(Text(f"planning, {waited:.0f} s", style="dim"), Text("\n".join(draft)))
        table = Table.grid(padding=(0, 2))
        now = time.monotonic() - (self._offset or 0.0)
        for row in list(self._rows.values()):
            took = "" if row.state in ("waiting", "unused") else f"{(row.ended or now) - row.began:6.2f} s"
            where = Text("" if row.processor is None else f"processor {row.processor}", style="dim")
            style = _STYLES.get(row.state, "dim")
            text = Text(row.text, overflow="ellipsis", no_wrap=True)
            table.add_row(
                Text(_MARKS[row.state], style=style), text, Text(row.state, style=style), where, Text(took)
            )
        return table


def _in_words(recovery: Recovery) -> str:
    """One attempt to go on, for people."""
    changed = f"; now {', '.join(recovery.changed.values())}" if recovery.changed else ""
    said = recovery.kind == "retry"  # its reason names the call
    again = f"; made again: {', '.join(recovery.again)}" if recovery.again and not said else ""
    return f"{recovery.kind}: {recovery.why}{changed}{again}"


def _bounded(line: str) -> str:
    return line if len(line) <= _LINE else f"{line[: _LINE - 3]}..."


def _indented(text: str) -> str:
    return "    " + text.replace("\n", "\n    ")


def _fetched(source: str, done: int, total: int) -> str:
    return f"fetching weights from {source}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
