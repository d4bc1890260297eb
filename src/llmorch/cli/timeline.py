"""Which call ran where and when: as text, and as a trace that Perfetto opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmorch.result import CallRecord, Result


def rows(result: Result) -> list[tuple[str, list[CallRecord]]]:
    """A row a processor, then as many rows as inout calls ran at once."""
    ran = [call for call in result.calls if call.dispatched is not None and call.completed is not None]
    found = [
        (f"processor {number}", [call for call in ran if number in call.processors])
        for number in range(result.processors)
    ]
    lanes: list[list[CallRecord]] = []
    for call in sorted((call for call in ran if call.processor is None), key=_began):
        lane = next((lane for lane in lanes if _ended(lane[-1]) <= _began(call)), None)
        if lane is None:
            lanes.append([call])
        else:
            lane.append(call)
    return found + [(f"inout {number}", lane) for number, lane in enumerate(lanes, 1)]


def text(result: Result, width: int = 80) -> str:
    """The timeline in characters: a bar a call, with its id in it."""
    span = max((call.completed or 0.0 for call in result.calls), default=0.0)
    if span <= 0:
        return ""
    shown = rows(result)
    margin = max(len(name) for name, _ in shown) + 2
    cells = max(20, width - margin - 1)
    lines = []
    for name, calls in shown:
        bar = [" "] * cells
        for call in sorted(calls, key=_began):
            first = min(int(_began(call) / span * cells), cells - 1)
            last = max(first + 1, min(round(_ended(call) / span * cells), cells))
            fill = "x" if call.status != "completed" else "="
            label = f"[{call.id}"
            length = last - first
            named = f"{label.ljust(length - 1, fill)}]"
            piece = named if length > len(label) else "|" * length
            bar[first:last] = piece
        lines.append(f"{name.ljust(margin)}{''.join(bar).rstrip()}")
    end = f"{span:.2f} s"
    lines.append(f"{' ' * margin}0{end.rjust(cells - 1)}")
    return "\n".join(lines)


def chrome_trace(result: Result) -> dict[str, Any]:
    """The Trace Event Format: one row a processor, then rows for inout calls.

    Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    """
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "llmorch"}}
    ]
    for row, (name, calls) in enumerate(rows(result), 1):
        events.append({"name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": name}})
        events.append(
            {"name": "thread_sort_index", "ph": "M", "pid": 1, "tid": row, "args": {"sort_index": row}}
        )
        for call in calls:
            events.append(
                {
                    "name": f"{call.id} {call.function}",
                    "cat": call.kind,
                    "ph": "X",
                    "pid": 1,
                    "tid": row,
                    "ts": round(_began(call) * 1e6, 3),
                    "dur": round((_ended(call) - _began(call)) * 1e6, 3),
                    "args": {
                        "rank": call.rank,
                        "uses": list(call.uses),
                        "status": call.status,
                        "submitted": call.submitted,
                        "error": call.error,
                    },
                }
            )
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _began(call: CallRecord) -> float:
    return call.dispatched or 0.0


def _ended(call: CallRecord) -> float:
    return call.completed or 0.0
