"""The relation graph as text: Mermaid, Graphviz, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmorch.declare.resources import amount_text
from llmorch.plan import render_call

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.relations import RelationGraph

MAX_LABEL = 48


def as_json(
    graph: RelationGraph, functions: Mapping[str, Function], unused: Collection[CallId] = ()
) -> dict[str, Any]:
    """The graph as one object with a list ``calls``; ``resources`` are what each takes.

    The ``unused`` calls are those that a run for a query would leave out.
    """
    return {
        "calls": [
            {
                "id": call,
                "function": graph.call(call).function,
                "kind": graph.kind(call),
                "rank": graph.rank(call),
                "uses": list(graph.uses(call)),
                "excludes": list(graph.excludes(call)),
                "after": list(graph.after(call)),
                "same_as": graph.same_as(call),
                "unused": call in unused,
                "resources": dict(functions[graph.call(call).function].resources),
            }
            for call in graph
        ]
    }


def mermaid(graph: RelationGraph, functions: Mapping[str, Function]) -> str:
    """A Mermaid flowchart: arrows are data, thick ones order, dotted lines exclude, boxes compute.

    A line that says "same" leads to a call that isn't made.
    """
    lines = ["flowchart TD"]
    for call in graph:
        label = _label(graph, call, functions).replace('"', "&quot;").replace("<", "&lt;")
        shape = f'["{label}"]' if graph.kind(call) == "compute" else f'("{label}")'
        lines.append(f"    {call}{shape}")
    lines += [f"    {used} --> {call}" for call in graph for used in graph.uses(call)]
    lines += [f"    {earlier} ==> {call}" for call in graph for earlier in graph.after(call)]
    lines += [f"    {call} -- same --- {copy}" for call in graph for copy in graph.copies(call)]
    lines += [f"    {one} -.- {other}" for one, other in _exclusions(graph)]
    return "\n".join(lines)


def dot(graph: RelationGraph, functions: Mapping[str, Function]) -> str:
    """A Graphviz digraph, ranks as rows: arrows are data, bold ones order, dashed lines exclude.

    A line that says "same" leads to a call that isn't made.
    """
    lines = ["digraph plan {", "    node [fontname=Helvetica];"]
    for call in graph:
        label = _label(graph, call, functions).replace("\\", "\\\\").replace('"', '\\"')
        shape = "box" if graph.kind(call) == "compute" else "ellipse"
        lines.append(f'    {call} [label="{label}", shape={shape}];')
    ranks: dict[int, list[CallId]] = {}
    for call in graph:
        ranks.setdefault(graph.rank(call), []).append(call)
    lines += [f"    {{ rank=same; {'; '.join(calls)}; }}" for calls in ranks.values()]
    lines += [f"    {used} -> {call};" for call in graph for used in graph.uses(call)]
    lines += [f"    {earlier} -> {call} [style=bold];" for call in graph for earlier in graph.after(call)]
    lines += [
        f"    {call} -> {copy} [dir=none, label=same];" for call in graph for copy in graph.copies(call)
    ]
    lines += [f"    {one} -> {other} [dir=none, style=dashed];" for one, other in _exclusions(graph)]
    return "\n".join([*lines, "}"])


def _json_text(graph: RelationGraph, functions: Mapping[str, Function]) -> str:
    return json.dumps(as_json(graph, functions), indent=2)


FORMATS: dict[str, Callable[[RelationGraph, Mapping[str, Function]], str]] = {
    "mermaid": mermaid,
    "dot": dot,
    "json": _json_text,
}


def _label(graph: RelationGraph, call: CallId, functions: Mapping[str, Function]) -> str:
    text = render_call(graph.call(call))
    text = text if len(text) <= MAX_LABEL else f"{text[:MAX_LABEL]}..."
    taken = [
        amount_text(name, amount) for name, amount in functions[graph.call(call).function].resources.items()
    ]
    return f"{text} takes {', '.join(taken)}" if taken else text


def _exclusions(graph: RelationGraph) -> Iterator[tuple[CallId, CallId]]:
    """Each pair once."""
    for call in graph:
        for other in graph.excludes(call):
            if graph.order(call) < graph.order(other):
                yield call, other
