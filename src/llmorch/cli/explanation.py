"""``llmorch explain``: what each idle stretch of each processor of a saved run waited for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from llmorch.cli.end import clean_output, counted, print_json, print_text, reported
from llmorch.cli.inputs import read
from llmorch.cli.options import Json, Raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmorch.explain import Cause, Explanation, Stretch
    from llmorch.records import Call, Run

MOST_STRETCHES, MOST_CAUSES, MOST_CHAIN, MOST_TOLD = 20, 6, 8, 10
SHORT = 0.001
"""The share of a run below which a stretch is only counted."""


def explain(runfile: str, as_json: Json = False, raw: Raw = False) -> None:
    """Say what the processors of a run waited for: RUNFILE (- for standard input) is what --json printed."""
    with reported(), clean_output() as output:
        from llmorch.explain import explain as explained
        from llmorch.records import Run

        try:
            run = Run.from_json(json.loads(read(runfile)))
        except RecursionError:
            raise typer.BadParameter(f"{runfile} is not JSON of a run: it is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise typer.BadParameter(f"{runfile} is not JSON: {error}") from None
        except ValueError as error:
            raise typer.BadParameter(f"{runfile}: {error}") from None
        found = explained(run)
        if as_json:
            print_json(output, _json(found, run))
        else:
            print_text(output, text(found, run))


def text(found: Explanation, run: Run) -> str:
    """The explanation for people, the longest stretches of each processor."""
    if not run.calls:
        return "no call was made"
    calls = {call.id: call for call in run.calls}
    lines = [f"{found.makespan:.2f} s on {counted(run.processors, 'processor')}"]
    for names, stretches in _rows(found):
        idle = sum(stretch.seconds for stretch in stretches)
        lines.append(f"{names}: idle {idle:.2f} s")
        lines += _listed(stretches, calls, found.makespan)
    reasons = [
        f"{_REASONS[reason]} {seconds:.2f} s"
        for reason, seconds in found.by_reason.items()
        if seconds >= SHORT * found.makespan
    ]
    total = f": {', '.join(reasons)}" if reasons else ""
    lines.append(f"idle in all: {found.idle():.2f} s{total}")
    return "\n".join([*lines, f"what would help most: {advice(found, run)}", *_trust(run)])


def _trust(run: Run) -> Iterator[str]:
    """A line for what came from outside, one for what was written after that was read, one for what was refused."""
    calls = {call.id: call for call in run.calls}
    told: dict[str, list[str]] = {
        "came from outside": [_path(call, calls) for call in run.calls if call.outside][: MOST_TOLD + 1],
        "written by the model after it had read that": [
            f"{call.id} ({call.function}) {call.status}" for call in run.calls if call.influenced
        ],
        "what is said of that": [note for note in run.notes if " had been read" in note],
    }
    counts = {"came from outside": sum(call.outside for call in run.calls)}
    for what, items in told.items():
        left = counts.get(what, len(items)) - MOST_TOLD
        more = [f"and {left:,} more"] if left > 0 else []
        if items:
            yield f"{what}: {'; '.join([*items[:MOST_TOLD], *more])}"


def _path(call: Call, calls: Mapping[str, Call]) -> str:
    """By which calls it came from outside, this one last."""
    path = [call]
    while len(path) <= MOST_CHAIN and (before := _from_outside(path[-1], calls)) is not None:
        path.append(before)
    named = [f"{one.id} ({one.function})" for one in path[:MOST_CHAIN]]
    return " -> ".join([*(["..."] if len(path) > MOST_CHAIN else []), *named[::-1]])


def _from_outside(call: Call, calls: Mapping[str, Call]) -> Call | None:
    used = (calls[id_] for id_ in call.uses)
    return next((one for one in used if one.outside), None)


def advice(found: Explanation, run: Run) -> str:
    """One line: what bounds the run, and which calls to look at."""
    calls = {call.id: call for call in run.calls}
    bound = max(found.chain_seconds, found.work_seconds)
    planned = found.by_reason.get("plan", 0.0) / run.processors
    limited = found.by_reason.get("limit", 0.0) / run.processors
    slack = max(0.0, found.makespan - bound)
    if planned > max(limited, bound / 4) and slack > bound / 4:
        return f"a plan that is written sooner: processors waited {planned:.2f} s each for it"
    if limited > bound / 4 and slack > bound / 4:
        return f"more of what calls waited for (limits, resources): {limited:.2f} s a processor"
    if found.chain_seconds >= found.work_seconds and found.chain:
        longest = max(found.chain, key=lambda id_: calls[id_].seconds)
        chain = [f"{id_} ({calls[id_].function}, {calls[id_].seconds:.2f} s)" for id_ in found.chain]
        if len(chain) > MOST_CHAIN:
            chain[MOST_CHAIN:] = [f"{len(chain) - MOST_CHAIN} more"]
        return (
            f"a shorter longest chain, which takes {found.chain_seconds:.2f} of {found.makespan:.2f} s: "
            f"{' -> '.join(chain)}; first of all {longest}"
        )
    by_function: dict[str, float] = {}
    for call in run.calls:
        by_function[call.function] = by_function.get(call.function, 0.0) + len(call.processors) * call.seconds
    most = max(by_function, key=lambda name: by_function[name])
    return (
        f"more processors, or less to compute: all of it takes {found.work_seconds:.2f} s a processor, "
        f"of {found.makespan:.2f} s; most of it is {most} ({by_function[most]:.2f} s)"
    )


def _rows(found: Explanation) -> Iterator[tuple[str, list[Stretch]]]:
    """A row a processor; those that waited alike all the time are one."""
    rows: list[tuple[list[int], list[Stretch]]] = []
    for number, stretches in found.by_processor.items():
        alike = rows and [stretch.causes for stretch in rows[-1][1]] == [item.causes for item in stretches]
        if alike and stretches:
            rows[-1][0].append(number)
        else:
            rows.append(([number], stretches))
    for numbers, stretches in rows:
        one = f"processor {numbers[0]}"
        yield (one if len(numbers) == 1 else f"each of processors {numbers[0]}-{numbers[-1]}"), stretches


def _listed(stretches: list[Stretch], calls: Mapping[str, Call], makespan: float) -> list[str]:
    long = [stretch for stretch in stretches if stretch.seconds >= SHORT * makespan]
    longest = sorted(long, key=lambda item: -item.seconds)[:MOST_STRETCHES]
    in_order = sorted(longest, key=lambda item: item.began)
    lines = []
    for stretch in in_order:
        telling = [cause for cause in stretch.causes if cause.seconds >= SHORT * makespan]
        for cause in telling[:MOST_CAUSES]:
            lines.append(f"  {cause.began:8.2f} - {cause.ended:.2f} s  {in_words(cause, calls)}")
        if len(telling) > MOST_CAUSES:
            lines.append(f"  {'':8}   {telling[-1].ended:.2f} s  and {len(telling) - MOST_CAUSES} more")
    left = len(stretches) - len(in_order)
    rest = sum(stretch.seconds for stretch in stretches) - sum(stretch.seconds for stretch in in_order)
    if left and rest >= SHORT * makespan:
        lines.append(f"  and {left} shorter, {rest:.2f} s")
    return lines


def in_words(cause: Cause, calls: Mapping[str, Call]) -> str:
    """What one cause was, in words."""
    on = calls.get(cause.on or "")
    who = ""
    if on is not None:
        end = "" if on.completed is None else f", until {on.completed:.2f} s"
        who = f"{on.id} ({on.function}, {on.kind}{end})"
    match cause.reason:
        case "plan" if cause.what and cause.call is None:
            return "the model worked on the plan here"
        case "plan" if cause.what:
            return f"{cause.call} waits for the model, which worked on the plan"
        case "plan":
            return f"{cause.call} waits for the plan, which was still being written"
        case "result":
            return f"{cause.call} waits for {who}"
        case "order":
            return f"{cause.call} keeps its order after {who}"
        case "limit" if who:
            return f"{cause.call} waits for {cause.what}, which {who} has"
        case "limit":
            return f"{cause.call} waits for {cause.what}"
        case "fewer":
            return "less work than processors"
        case "nothing":
            return f"nothing left to compute; the last to end is {who}" if who else "nothing to compute"
    return f"{cause.call} starts"


def _json(found: Explanation, run: Run) -> dict[str, Any]:
    calls = {call.id: call for call in run.calls}
    return {
        "makespan": found.makespan,
        "processors": [
            {
                "processor": number,
                "idle": round(sum(stretch.seconds for stretch in stretches), 6),
                "stretches": [
                    {
                        "began": stretch.began,
                        "ended": stretch.ended,
                        "causes": [
                            {**vars(cause), "told": in_words(cause, calls)} for cause in stretch.causes
                        ],
                    }
                    for stretch in stretches
                ],
            }
            for number, stretches in found.by_processor.items()
        ],
        "reasons": {reason: round(seconds, 6) for reason, seconds in found.by_reason.items()},
        "chain": list(found.chain),
        "chain_seconds": round(found.chain_seconds, 6),
        "work_seconds": round(found.work_seconds, 6),
        "advice": advice(found, run) if run.calls else None,
        "trust": list(_trust(run)),
    }


_REASONS = {
    "plan": "for the plan",
    "result": "for results",
    "order": "for the order of effects",
    "limit": "for limits and resources",
    "start": "starting calls",
    "fewer": "less work than processors",
    "nothing": "nothing left to compute",
}
