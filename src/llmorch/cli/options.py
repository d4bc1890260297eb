"""What the commands have in common on the command line: each option once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from llmorch.cli.terminal import set_raw

Functions = Annotated[
    list[str] | None,
    typer.Option(
        "--functions", "-f", metavar="FILE|MODULE", help="Offer what this file decorates with @function."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="local, local:0.5b, local:FILE.gguf, openai:NAME, groq:NAME ... or recorded:FILE.",
    ),
]
Planner = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Another model that makes the plan; --model answers then.")
]
Fallback = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL", help="Asked where the model fails; repeat for several, in order."),
]
ModelOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--model-option",
        metavar="NAME=VALUE",
        help="How a server's model is asked: timeout, first_token, retries, temperature, max_tokens, effort, "
        "max_concurrency, or header.NAME; repeat for several.",
    ),
]
BaseUrl = Annotated[str | None, typer.Option(help="Where an openai: model is served.")]
Technique = Annotated[
    str,
    typer.Option("--technique", "-t", help="llmorch, react, parallel, toolcompiler, rewoo or llmcompiler."),
]
POLICIES = "critical, exclusive, greedy, barrier or sequential"
Policy = Annotated[str, typer.Option(help=f"{POLICIES}.")]
RunPolicy = Annotated[
    str | None, typer.Option("--policy", help=f"{POLICIES}; by default the technique's own.")
]
Processors = Annotated[
    int | None,
    typer.Option(
        "--processors", "-p", min=1, max=1024, help="Compute calls at once; by default, every core."
    ),
]
Resources = Annotated[
    list[str] | None,
    typer.Option("--resource", metavar="NAME=AMOUNT", help="What there is, as camera=1 or gpu_memory=24GiB."),
]
Examples = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Queries and their plans, for the prompt.")
]
MaxRecoveries = Annotated[
    int | None,
    typer.Option(
        min=0, max=20, metavar="N", help="Attempts to recover a failed call; 3 for llmorch, else 0."
    ),
]
Replan = Annotated[
    bool, typer.Option("--replan", help="Have results judged, and more calls made if they are not enough.")
]
Influence = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="refuse, ask or allow calls with effects that the model wrote after it read from outside.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Take functions of which nothing is said for ones with effects.")
]
NoOptimize = Annotated[
    bool,
    typer.Option("--no-optimize", help="Execute every call, also one like another or that nothing uses."),
]
Deadline = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help="Stop the run when it takes longer.")
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Stop the run when the model has used as many tokens.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Make the plan, run nothing, and print what it will probably take.")
]
Price = Annotated[
    str | None,
    typer.Option(metavar="IN,OUT", help="With --dry-run: prices of a million tokens, as 0.15,0.60."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _to_write(path: Path | None) -> Path | None:
    """Refuse a file that can't be written, before anything is run for it."""
    if path is not None:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder")
        if path.is_fifo():
            raise typer.BadParameter(f"{path} can't be written: it is a pipe, which might never be read")
        if not path.parent.is_dir():
            raise typer.BadParameter(f"{path} can't be written: there is no folder {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise typer.BadParameter(f"{path} can't be written: you may not write there")
    return path


Trace = Annotated[
    Path | None,
    typer.Option(
        "--save-trace",
        metavar="FILE",
        help="Write a Chrome trace, which Perfetto opens.",
        callback=_to_write,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, plan or timeline on standard error.")
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="On a terminal too, print control characters as they are.",
        callback=set_raw,
        is_eager=True,
    ),
]
