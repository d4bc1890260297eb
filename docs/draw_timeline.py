"""Draw a run's timeline: llmorch run ... --json > run.json; python docs/draw_timeline.py run.json out.svg"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

WIDTH, ROW, LEFT, TOP = 860, 34, 96, 8
COLORS = {"inout": "#7aa6c2", "compute": "#e0975a"}


def drawn(run: dict) -> str:
    """The timeline as SVG: a row a processor, then the inout calls."""
    ran = [call for call in run["calls"] if call["completed"] is not None]
    span = max(call["completed"] for call in ran)
    scale = (WIDTH - LEFT - 12) / span
    lanes: list[float] = []
    rows = {}
    for call in sorted(ran, key=lambda call: call["dispatched"]):
        if call["processor"] is not None:
            rows[call["id"]] = call["processor"]
            continue
        lane = next((at for at, end in enumerate(lanes) if end <= call["dispatched"]), len(lanes))
        lanes[lane:] = [call["completed"], *lanes[lane + 1 :]]
        rows[call["id"]] = run["processors"] + lane
    names = [f"processor {number}" for number in range(run["processors"])] + ["inout"] * len(lanes)
    height = TOP + ROW * len(names) + 28
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for row, name in enumerate(names):
        y = TOP + ROW * row
        parts.append(
            f'<rect x="{LEFT}" y="{y + 3}" width="{WIDTH - LEFT - 12}" height="{ROW - 6}" fill="#f1f1ef"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 21}" text-anchor="end" fill="#333333">{name}</text>')
    for call in ran:
        x, y = LEFT + call["dispatched"] * scale, TOP + ROW * rows[call["id"]] + 3
        width = max(2.0, (call["completed"] - call["dispatched"]) * scale)
        label = f"{call['id']} {call['function']}"
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 6}" rx="3" '
            f'fill="{COLORS[call["kind"]]}" stroke="#ffffff"><title>{escape(label)}</title></rect>'
        )
        shown = label if width > 7 * len(label) else call["id"] if width > 18 else ""
        parts.append(f'<text x="{x + 5:.1f}" y="{y + 18}" fill="#1c1c1c">{escape(shown)}</text>')
    below = TOP + ROW * len(names) + 16
    for tick in range(6):
        at = span * tick / 5
        anchor = "start" if tick == 0 else "end" if tick == 5 else "middle"
        parts.append(
            f'<text x="{LEFT + at * scale:.1f}" y="{below}" text-anchor="{anchor}" fill="#666666">{at:.1f} s</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(drawn(json.loads(Path(sys.argv[1]).read_text())))
