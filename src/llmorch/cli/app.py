"""The commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmorch.cli.end import clean_output, finish, played, print_text, reported, told_as_json
from llmorch.cli.explanation import explain
from llmorch.cli.inputs import (
    check_policy,
    check_query,
    counts_in,
    durations_in,
    orchestrator_for,
    planned,
    read,
    resources_in,
)
from llmorch.cli.options import (
    BaseUrl,
    Deadline,
    DryRun,
    Examples,
    Functions,
    Json,
    MaxRecoveries,
    MaxTokens,
    Model,
    NoOptimize,
    Policy,
    Price,
    Processors,
    Quiet,
    Replan,
    Resources,
    RunPolicy,
    Technique,
    Trace,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import Plan
    from llmorch.declare.functions import Function

app = typer.Typer(
    name="llmorch",
    help="Translate a query into function calls, and run them as parallel as they allow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def run(
    query: str,
    functions: Functions = None,
    model: Model = "local",
    base_url: BaseUrl = None,
    technique: Technique = "llmorch",
    policy: RunPolicy = None,
    processors: Processors = None,
    resource: Resources = None,
    examples: Examples = None,
    max_recoveries: MaxRecoveries = None,
    replan: Replan = False,
    no_optimize: NoOptimize = False,
    deadline: Deadline = None,
    max_tokens: MaxTokens = None,
    dry_run: DryRun = False,
    price: Price = None,
    as_json: Json = False,
    save_trace: Trace = None,
    quiet: Quiet = False,
) -> None:
    """Answer QUERY by calling functions."""
    with reported(), clean_output() as output:
        from llmorch.cli.forecast import check_dry_run, foretell
        from llmorch.cli.progress import Progress

        check_query(query)
        prices = check_dry_run(technique, price, dry_run=dry_run)
        progress = Progress(quiet=quiet)
        orchestrator = orchestrator_for(
            functions,
            model=model,
            base_url=base_url,
            technique=technique,
            policy=policy,
            processors=processors,
            resources=resource,
            examples=examples,
            max_recoveries=max_recoveries,
            replan=replan,
            optimize=not no_optimize,
            progress=progress.fetched,
        )
        if dry_run:
            progress.planning(model)
            foretell(orchestrator, query, output, progress, prices=prices, as_json=as_json)
            return
        with told_as_json(output if as_json else None, orchestrator, query):
            progress.planning(model)
            result = played(
                orchestrator,
                progress,
                lambda: orchestrator.run(
                    query,
                    deadline=deadline,
                    max_tokens=max_tokens,
                    observer=progress.observe,
                    wrote=progress.wrote,
                ),
            )
        finish(result, output, progress, as_json=as_json, save_trace=save_trace)


@app.command()
def execute(
    planfile: str,
    functions: Functions = None,
    model: Model = "local",
    base_url: BaseUrl = None,
    policy: Policy = "critical",
    processors: Processors = None,
    resource: Resources = None,
    no_optimize: NoOptimize = False,
    as_json: Json = False,
    save_trace: Trace = None,
    quiet: Quiet = False,
) -> None:
    """Run the plan in PLANFILE (- for standard input), without asking a model for one."""
    with reported(), clean_output() as output:
        from llmorch.cli.progress import Progress

        progress = Progress(quiet=quiet)
        orchestrator = orchestrator_for(
            functions,
            model=model,
            base_url=base_url,
            policy=policy,
            processors=processors,
            resources=resource,
            optimize=not no_optimize,
            progress=progress.fetched,
        )
        with told_as_json(output if as_json else None, orchestrator, None):
            plan = orchestrator.check(read(planfile))
            result = played(
                orchestrator, progress, lambda: orchestrator.execute(plan, observer=progress.observe)
            )
        finish(result, output, progress, as_json=as_json, save_trace=save_trace)


@app.command()
def plan(
    query: str,
    functions: Functions = None,
    model: Model = "local",
    base_url: BaseUrl = None,
    technique: Technique = "llmorch",
    resource: Resources = None,
    examples: Examples = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the plan for QUERY, without running it."""
    with reported(), clean_output() as output:
        from llmorch.cli.graphs import as_json as graph_json
        from llmorch.cli.progress import Progress
        from llmorch.plan import render
        from llmorch.relations import discover, unused

        check_query(query)
        progress = Progress(quiet=quiet)
        orchestrator = orchestrator_for(
            functions,
            model=model,
            base_url=base_url,
            technique=technique,
            resources=resource,
            examples=examples,
            progress=progress.fetched,
        )
        progress.planning(model)
        made = played(orchestrator, progress, lambda: orchestrator.plan(query, wrote=progress.wrote))
        text = render(made)
        if as_json:
            known = orchestrator.functions
            shown = graph_json(discover(made, known), known, unused(made, known))
            text = json.dumps({"query": query, "plan": text, **shown}, indent=2)
        print_text(output, text)


@app.command()
def graph(
    planfile: str,
    functions: Functions = None,
    form: Annotated[str, typer.Option("--format", help="mermaid, dot or json.")] = "mermaid",
) -> None:
    """Print the relation graph of the plan in PLANFILE (- for standard input).

    It shows which calls are the same: those are executed once.
    Without --functions, every function but self is taken to be compute.
    """
    with reported():
        from llmorch.cli.graphs import FORMATS
        from llmorch.relations import discover

        if form not in FORMATS:
            raise typer.BadParameter(f"there is no format {form!r}; there are {', '.join(FORMATS)}")
        made, known = planned(planfile, functions)
        print_text(sys.stdout, FORMATS[form](discover(made, known), known))


@app.command()
def simulate(
    planfile: str,
    durations: Annotated[
        Path, typer.Option(metavar="FILE", help="JSON: seconds by function name or by call id.")
    ],
    processors: Annotated[str, typer.Option("--processors", "-p", help="As in 1,2,4,8.")] = "1,2,4,8",
    policy: Policy = "critical",
    functions: Functions = None,
    resource: Resources = None,
    no_optimize: NoOptimize = False,
    as_json: Json = False,
) -> None:
    """Say how long the plan in PLANFILE would take, on any number of processors.

    Without --functions, every function but self is taken to be compute.
    """
    with reported():
        from llmorch.declare.offered import fitted
        from llmorch.declare.resources import supply_of
        from llmorch.runtime.simulate import simulate as simulated

        counts = counts_in(processors)
        check_policy(policy)
        made, known = planned(planfile, functions)
        seconds = durations_in(durations)
        if missing := [call.id for call in made if call.id not in seconds and call.function not in seconds]:
            typer.echo(f"no duration is given for {', '.join(missing)}: taken as 0 s", err=True)
        there = resources_in(resource)
        supply = supply_of(there)
        lacking = {count: _lacking(made, fitted(known, count, supply)) for count in counts}
        for count, why in lacking.items():
            if why and not all(lacking.values()):
                typer.echo(f"left out: {count} processors; {why}", err=True)
        if not all(lacking.values()):
            counts = [count for count in counts if not lacking[count]]
        runs = [
            simulated(
                made,
                known,
                seconds,
                processors=count,
                policy=policy,
                resources=there,
                optimize=not no_optimize,
            )
            for count in counts
        ]
        if as_json:
            rows = [
                {"processors": item.processors, "makespan": item.makespan, "lower_bound": item.lower_bound}
                for item in runs
            ]
            print_text(sys.stdout, json.dumps({"runs": rows}, indent=2))
            return
        lines = ["processors  makespan  lower bound"]
        lines += [
            f"{item.processors:>10}  {item.makespan:>6.2f} s  {item.lower_bound:>9.2f} s" for item in runs
        ]
        print_text(sys.stdout, "\n".join(lines))


def _lacking(made: Plan, functions: Mapping[str, Function]) -> str:
    """Why the plan can't be run with what there is, at its first call that can't."""
    return next((why for call in made if (why := functions[call.function].shortage)), "")


app.command()(explain)


@app.command()
def models(
    fetch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fetch this local model's weights now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models: where they come from, how large they are, whether they are here."""
    with reported():
        from llmorch.cli.models import fetched, listed, table

        if fetch is not None:
            fetched(fetch)
        rows = listed()
        print_text(sys.stdout, json.dumps({"models": rows}, indent=2) if as_json else table(rows))
