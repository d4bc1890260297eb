"""Which call ran where and when: as text, and as a trace that Perfetto opens."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    from llmorch.records import Call, Run
    from llmorch.result import Result

    Ran: TypeAlias = Run | Result


@dataclass(frozen=True)
class _Bar:
    """One call, or all that were made as one: the first stands for them."""

    calls: list[Call]

    @property
    def label(self) -> str:
        return self.calls[0].id if len(self.calls) == 1 else f"{self.calls[0].id}+{len(self.calls) - 1}"

    @property
    def status(self) -> str:
        """That of one that did not complete, if there is one."""
        return next((call.status for call in self.calls if call.status != "completed"), "completed")

    @property
    def began(self) -> float:
        return self.calls[0].dispatched or 0.0

    @property
    def ended(self) -> float:
        return max(call.completed or 0.0 for call in self.calls)


def _rows(result: Ran) -> list[tuple[str, list[_Bar]]]:
    """A row a processor, then as many rows as inout calls ran at once."""
    together: dict[str, list[Call]] = {}
    for call in result.calls:
        if call.dispatched is not None and call.completed is not None:
            together.setdefault(call.batch or call.id, []).append(call)
    bars = [_Bar(calls) for calls in together.values()]
    on = [[bar for bar in bars if number in bar.calls[0].processors] for number in range(result.processors)]
    lanes: list[list[_Bar]] = []
    for bar in sorted(bars, key=attrgetter("began")):
        if bar.calls[0].processor is None:
            lane = next((lane for lane in lanes if lane[-1].ended <= bar.began), None)
            if lane is None:
                lanes.append(lane := [])
            lane.append(bar)
    return [
        *((f"processor {number}", bars) for number, bars in enumerate(on)),
        *((f"inout {number}", lane) for number, lane in enumerate(lanes, 1)),
    ]


def text(result: Ran, width: int = 80) -> str:
    """The timeline in characters: a bar a call, with its id in it."""
    span = max((call.completed or 0.0 for call in result.calls), default=0.0)
    if span <= 0:
        return ""
    rows = _rows(result)
    margin = max(len(name) for name, _ in rows) + 2
    cells = max(20, width - margin - 1)
    lines = []
    for name, bars in rows:
        line = [" "] * cells
        for bar in sorted(bars, key=attrgetter("began")):
            first = min(int(bar.began / span * cells), cells - 1)
            last = max(first + 1, min(round(bar.ended / span * cells), cells))
            label, length = f"[{bar.label}", last - first
            named = f"{label.ljust(length - 1, '=' if bar.status == 'completed' else 'x')}]"
            line[first:last] = named if length > len(label) else "|" * length
        lines.append(f"{name.ljust(margin)}{''.join(line).rstrip()}")
    return "\n".join([*lines, f"{' ' * margin}0{f'{span:.2f} s'.rjust(cells - 1)}"])


def chrome_trace(result: Ran) -> dict[str, Any]:
    """The Trace Event Format: one row a processor, then rows for inout calls.

    Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    """
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "llmorch"}}
    ]
    for row, (name, bars) in enumerate(_rows(result), 1):
        for what, args in (("thread_name", {"name": name}), ("thread_sort_index", {"sort_index": row})):
            events.append({"name": what, "ph": "M", "pid": 1, "tid": row, "args": args})
        for bar in bars:
            call = bar.calls[0]
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
                        "outside": [call.id for call in bar.calls if call.outside],
                        "influenced": [call.id for call in bar.calls if call.influenced],
                    },
                }
            )
    return {"traceEvents": events, "displayTimeUnit": "ms"}
