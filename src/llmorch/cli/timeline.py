"""Which call ran where and when: as text, and as a trace that Perfetto opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    from llmorch.records import Call, Run
    from llmorch.result import Result

    Ran: TypeAlias = Run | Result


@dataclass(frozen=True)
class Bar:
    """One call, or all that were made as one: the first stands for them."""

    call: Call
    calls: tuple[Call, ...]

    @property
    def label(self) -> str:
        """The call's id, and how many calls were made with it."""
        return self.call.id if len(self.calls) == 1 else f"{self.call.id}+{len(self.calls) - 1}"

    @property
    def status(self) -> str:
        """How they ended; that of one that did not complete, if there is one."""
        return next((call.status for call in self.calls if call.status != "completed"), "completed")

    @property
    def began(self) -> float:
        """When they were dispatched."""
        return self.call.dispatched or 0.0

    @property
    def ended(self) -> float:
        """When the last of them ended."""
        return max(call.completed or 0.0 for call in self.calls)


def rows(result: Ran) -> list[tuple[str, list[Bar]]]:
    """A row a processor, then as many rows as inout calls ran at once."""
    together: dict[str, list[Call]] = {}
    for call in result.calls:
        if call.dispatched is not None and call.completed is not None:
            together.setdefault(call.batch or call.id, []).append(call)
    ran = [Bar(calls[0], tuple(calls)) for calls in together.values()]
    found = [
        (f"processor {number}", [bar for bar in ran if number in bar.call.processors])
        for number in range(result.processors)
    ]
    lanes: list[list[Bar]] = []
    for bar in sorted((bar for bar in ran if bar.call.processor is None), key=_began):
        lane = next((lane for lane in lanes if lane[-1].ended <= bar.began), None)
        if lane is None:
            lanes.append([bar])
        else:
            lane.append(bar)
    return found + [(f"inout {number}", lane) for number, lane in enumerate(lanes, 1)]


def text(result: Ran, width: int = 80) -> str:
    """The timeline in characters: a bar a call, with its id in it."""
    span = max((call.completed or 0.0 for call in result.calls), default=0.0)
    if span <= 0:
        return ""
    shown = rows(result)
    margin = max(len(name) for name, _ in shown) + 2
    cells = max(20, width - margin - 1)
    lines = []
    for name, bars in shown:
        line = [" "] * cells
        for bar in sorted(bars, key=_began):
            first = min(int(bar.began / span * cells), cells - 1)
            last = max(first + 1, min(round(bar.ended / span * cells), cells))
            fill = "x" if bar.status != "completed" else "="
            label = f"[{bar.label}"
            length = last - first
            named = f"{label.ljust(length - 1, fill)}]"
            piece = named if length > len(label) else "|" * length
            line[first:last] = piece
        lines.append(f"{name.ljust(margin)}{''.join(line).rstrip()}")
    end = f"{span:.2f} s"
    lines.append(f"{' ' * margin}0{end.rjust(cells - 1)}")
    return "\n".join(lines)


def chrome_trace(result: Ran) -> dict[str, Any]:
    """The Trace Event Format: one row a processor, then rows for inout calls.

    Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    """
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "llmorch"}}
    ]
    for row, (name, bars) in enumerate(rows(result), 1):
        events.append({"name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": name}})
        events.append(
            {"name": "thread_sort_index", "ph": "M", "pid": 1, "tid": row, "args": {"sort_index": row}}
        )
        for bar in bars:
            call = bar.call
            events.append(
                {
                    "name": f"{bar.label} {call.function}",
                    "cat": call.kind,
                    "ph": "X",
                    "pid": 1,
                    "tid": row,
                    "ts": round(bar.began * 1e6, 3),
                    "dur": round((bar.ended - bar.began) * 1e6, 3),
                    "args": {
                        "rank": call.rank,
                        "uses": list(call.uses),
                        "status": bar.status,
                        "submitted": call.submitted,
                        "error": next((call.error for call in bar.calls if call.error), None),
                        "calls": [call.id for call in bar.calls],
                    },
                }
            )
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _began(bar: Bar) -> float:
    return bar.began
