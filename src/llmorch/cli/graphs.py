"""The relation graph as text: Mermaid, Graphviz, JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

from llmorch.declare.resources import amount_text
from llmorch.plan import render_call
from llmorch.records import MAX_PAIRS
from llmorch.story import orders, things

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.relations import RelationGraph

MAX_LABEL = 48
MOST_PAIRED = 12
"""Calls that are drawn with a line between every two of them, where they exclude one another."""


def as_json(
    graph: RelationGraph, functions: Mapping[str, Function], unused: Collection[CallId] = ()
) -> dict[str, Any]:
    """The graph as one object with ``calls`` and ``groups``; ``resources`` are what each call takes.

    Relations are listed as in a run's record. The ``unused`` calls are those that a run
    for a query would leave out.
    """
    groups = _groups(graph)
    lists = sum(len(group) * (len(group) - 1) for group in groups) <= MAX_PAIRS
    return {
        "groups": {
            "excludes": [list(group) for group in groups],
            "things": [asdict(thing) for thing in things(graph)],
        },
        "calls": [
            {
                "id": call,
                "function": graph.call(call).function,
                "kind": graph.kind(call),
                "rank": graph.rank(call),
                "uses": list(graph.uses(call)),
                "excludes": list(graph.excludes(call)) if lists else None,
                "after": None if after is None else list(after),
                "same_as": graph.same_as(call),
                "unused": call in unused,
                "outside": call in graph.origins,
                "influenced": graph.call(call).influenced,
                "resources": dict(functions[graph.call(call).function].resources),
            }
            for call, after in zip(graph, orders(graph, list(graph)), strict=True)
        ],
    }


def mermaid(graph: RelationGraph, functions: Mapping[str, Function]) -> str:
    """A Mermaid flowchart: arrows are data, thick ones order, dotted lines exclude, boxes compute.

    An order that others imply is left out, and many calls that exclude one another have a node between them.

    A line that says "same" leads to a call that isn't made. What comes from outside has a broken edge, and
    what a model wrote after it had read that a thick one.
    """
    lines = ["flowchart TD"]
    for call in graph:
        label = _label(graph, call, functions).replace('"', "&quot;").replace("<", "&lt;")
        shape = f'["{label}"]' if graph.kind(call) == "compute" else f'("{label}")'
        lines.append(f"    {call}{shape}")
    wording = ("%s --> %s", "%s ==> %s", "%s -- same --- %s", "%s{{one at a time}}", "%s -.- %s")
    outside, influenced = _labelled(graph)
    styles = [("outside", "stroke-dasharray:6 4", outside), ("influenced", "stroke-width:4px", influenced)]
    for name, style, calls in styles:
        if calls:
            lines += [f"    classDef {name} {style}", f"    class {','.join(calls)} {name}"]
    return "\n".join([*lines, *_relations(graph, *wording)])


def dot(graph: RelationGraph, functions: Mapping[str, Function]) -> str:
    """A Graphviz digraph, ranks as rows: arrows are data, bold ones order, dashed lines exclude.

    A line that says "same" leads to a call that isn't made. What comes from outside has a broken edge, and
    what a model wrote after it had read that a thick one.
    """
    lines = ["digraph plan {", "    node [fontname=Helvetica];"]
    ranks: dict[int, list[CallId]] = {}
    for call in graph:
        label = _label(graph, call, functions).replace("\\", "\\\\").replace('"', '\\"')
        shape = "box" if graph.kind(call) == "compute" else "ellipse"
        lines.append(f'    {call} [label="{label}", shape={shape}];')
        ranks.setdefault(graph.rank(call), []).append(call)
    outside, influenced = _labelled(graph)
    lines += [f"    {call} [style=dashed];" for call in outside]
    lines += [f"    {call} [penwidth=4];" for call in influenced]
    lines += [f"    {{ rank=same; {'; '.join(calls)}; }}" for calls in ranks.values()]
    wording = (
        *("%s -> %s;", "%s -> %s [style=bold];", "%s -> %s [dir=none, label=same];"),
        *('%s [label="one at a time", shape=diamond];', "%s -> %s [dir=none, style=dashed];"),
    )
    return "\n".join([*lines, *_relations(graph, *wording), "}"])


FORMATS: dict[str, Callable[[RelationGraph, Mapping[str, Function]], str]] = {
    "mermaid": mermaid,
    "dot": dot,
    "json": lambda graph, functions: json.dumps(as_json(graph, functions), indent=2),
}


def _labelled(graph: RelationGraph) -> tuple[list[CallId], list[CallId]]:
    """The calls that come from outside, and those that a model wrote after it had read that."""
    outside = [call for call in graph if call in graph.origins]
    return outside, [call for call in graph if graph.call(call).influenced]


def _label(graph: RelationGraph, call: CallId, functions: Mapping[str, Function]) -> str:
    text = render_call(graph.call(call))
    text = text if len(text) <= MAX_LABEL else f"{text[:MAX_LABEL]}..."
    resources = functions[graph.call(call).function].resources
    taken = ", ".join(amount_text(name, amount) for name, amount in resources.items())
    return f"{text} takes {taken}" if taken else text


def _groups(graph: RelationGraph) -> list[Sequence[CallId]]:
    """The calls that exclude one another on a processor, where there are several."""
    groups = {alike[0]: alike for call in graph if len(alike := graph.exclusive(call)) > 1}
    return list(groups.values())


def _relations(
    graph: RelationGraph, uses: str, follows: str, same: str, hub: str, excludes: str
) -> Iterator[str]:
    """A line of a picture for each relation, worded as given."""
    yield from (f"    {uses % (used, call)}" for call in graph for used in graph.uses(call))
    yield from (f"    {follows % (earlier, call)}" for call in graph for earlier in graph.follows(call))
    yield from (f"    {same % (call, copy)}" for call in graph for copy in graph.copies(call))
    for number, group in enumerate(_groups(graph), 1):
        pairs: Iterable[tuple[CallId, CallId]] = combinations(group, 2)
        if len(group) > MOST_PAIRED:  # a node between them: so many lines would hide all else
            yield f"    {hub % f'x{number}'}"
            pairs = ((call, f"x{number}") for call in group)
        yield from (f"    {excludes % pair}" for pair in pairs)
