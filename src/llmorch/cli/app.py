"""The commands."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from llmorch.cli import options
from llmorch.cli.end import clean_output, errors_as_json, finish, played, print_json, print_text, reported
from llmorch.cli.explanation import explain
from llmorch.cli.inputs import (
    check_query,
    counts_in,
    durations_in,
    orchestrator_for,
    plan_text,
    planned,
    resources_in,
    value_errors_as_usage,
)
from llmorch.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import Plan
    from llmorch.declare.functions import Function


class _Mistake(io.StringIO):
    """Where typer writes what is wrong with a command line: as it is, since ``say`` has the last word."""

    def isatty(self) -> bool:
        return True


class _Program(TyperGroup):
    """Typer's, but for its own errors, which may quote what steers a terminal."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except typer.Abort:
            say("aborted")
            code = 1
        except Exception as error:
            if not hasattr(error, "show") or not hasattr(error, "exit_code"):
                raise
            mistake = _Mistake()
            error.show(file=mistake)
            say(mistake.getvalue().rstrip("\n"))
            code = error.exit_code
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="llmorch",
    cls=_Program,
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
    functions: options.Functions = None,
    model: options.Model = "local",
    planner: options.Planner = None,
    fallback: options.Fallback = None,
    base_url: options.BaseUrl = None,
    model_option: options.ModelOptions = None,
    technique: options.Technique = "llmorch",
    policy: options.RunPolicy = None,
    processors: options.Processors = None,
    resource: options.Resources = None,
    examples: options.Examples = None,
    max_recoveries: options.MaxRecoveries = None,
    replan: options.Replan = False,
    no_optimize: options.NoOptimize = False,
    influence: options.Influence = None,
    strict: options.Strict = False,
    deadline: options.Deadline = None,
    max_tokens: options.MaxTokens = None,
    dry_run: options.DryRun = False,
    price: options.Price = None,
    as_json: options.Json = False,
    save_trace: options.Trace = None,
    quiet: options.Quiet = False,
    raw: options.Raw = False,
) -> None:
    """Answer QUERY by calling functions."""
    with reported(), clean_output() as output:
        from llmorch.cli.ask import asker
        from llmorch.cli.forecast import check_dry_run, foretell
        from llmorch.cli.progress import Progress

        check_query(query)
        prices = check_dry_run(technique, price, dry_run=dry_run)
        progress = Progress(quiet=quiet)
        orchestrator = orchestrator_for(
            functions,
            model=model,
            planner=planner,
            fallback=fallback or [],
            base_url=base_url,
            model_options=model_option,
            technique=technique,
            policy=policy,
            processors=processors,
            resources=resource,
            examples=examples,
            max_recoveries=max_recoveries,
            replan=replan,
            optimize=not no_optimize,
            influence=influence,
            confirm=asker(progress, influence),
            strict=strict,
            progress=progress.fetched,
        )
        if dry_run:
            progress.planning(model)
            foretell(
                orchestrator,
                query,
                output,
                progress,
                prices=prices,
                as_json=as_json,
                deadline=deadline,
                max_tokens=max_tokens,
            )
            return
        with errors_as_json(output if as_json else None, orchestrator, query):
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
    functions: options.Functions = None,
    model: options.Model = "local",
    base_url: options.BaseUrl = None,
    model_option: options.ModelOptions = None,
    policy: options.Policy = "critical",
    processors: options.Processors = None,
    resource: options.Resources = None,
    no_optimize: options.NoOptimize = False,
    deadline: options.Deadline = None,
    as_json: options.Json = False,
    save_trace: options.Trace = None,
    quiet: options.Quiet = False,
    raw: options.Raw = False,
) -> None:
    """Run the plan in PLANFILE (- for standard input), without asking a model for one."""
    with reported(), clean_output() as output:
        from llmorch.cli.progress import Progress

        progress = Progress(quiet=quiet)
        orchestrator = orchestrator_for(
            functions,
            model=model,
            base_url=base_url,
            model_options=model_option,
            policy=policy,
            processors=processors,
            resources=resource,
            optimize=not no_optimize,
            progress=progress.fetched,
        )
        with errors_as_json(output if as_json else None, orchestrator, None):
            plan = orchestrator.check(plan_text(planfile))
            result = played(
                orchestrator,
                progress,
                lambda: orchestrator.execute(plan, deadline=deadline, observer=progress.observe),
            )
        finish(result, output, progress, as_json=as_json, save_trace=save_trace)


@app.command()
def plan(
    query: str,
    functions: options.Functions = None,
    model: options.Model = "local",
    base_url: options.BaseUrl = None,
    model_option: options.ModelOptions = None,
    technique: options.Technique = "llmorch",
    resource: options.Resources = None,
    examples: options.Examples = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    raw: options.Raw = False,
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
            model_options=model_option,
            technique=technique,
            resources=resource,
            examples=examples,
            progress=progress.fetched,
        )
        progress.planning(model)
        made = played(orchestrator, progress, lambda: orchestrator.plan(query, wrote=progress.wrote))
        if as_json:
            known = orchestrator.functions
            relations = graph_json(discover(made, known), known, unused(made, known))
            print_json(output, {"query": query, "plan": render(made), **relations})
        else:
            print_text(output, render(made))


@app.command()
def graph(
    planfile: str,
    functions: options.Functions = None,
    form: Annotated[str, typer.Option("--format", help="mermaid, dot or json.")] = "mermaid",
    raw: options.Raw = False,
) -> None:
    """Print the relation graph of the plan in PLANFILE (- for standard input).

    It shows which calls are the same: those are executed once.
    Without --functions, every function but self is taken to be compute.
    """
    with reported(), clean_output() as output:
        from llmorch.cli.graphs import FORMATS
        from llmorch.relations import discover

        if form not in FORMATS:
            raise typer.BadParameter(f"there is no format {form!r}; there are {', '.join(FORMATS)}")
        made, known = planned(planfile, functions)
        print_text(output, FORMATS[form](discover(made, known), known))


@app.command()
def simulate(
    planfile: str,
    durations: Annotated[
        Path, typer.Option(metavar="FILE", help="JSON: seconds by function name or by call id.")
    ],
    processors: Annotated[str, typer.Option("--processors", "-p", help="As in 1,2,4,8.")] = "1,2,4,8",
    policy: options.Policy = "critical",
    functions: options.Functions = None,
    resource: options.Resources = None,
    no_optimize: options.NoOptimize = False,
    as_json: options.Json = False,
    raw: options.Raw = False,
) -> None:
    """Say how long the plan in PLANFILE would take, on any number of processors.

    Without --functions, every function but self is taken to be compute.
    """
    with reported(), clean_output() as output:
        from llmorch.declare.offered import fitted
        from llmorch.declare.resources import supply_of
        from llmorch.runtime.simulate import simulate as simulated
        from llmorch.schedule import policy_named

        counts = counts_in(processors)
        there = resources_in(resource)
        with value_errors_as_usage():
            supply = supply_of(there)
            policy_named(policy)
        made, known = planned(planfile, functions)
        seconds = durations_in(durations)
        if missing := [call.id for call in made if call.id not in seconds and call.function not in seconds]:
            say(f"no duration is given for {', '.join(missing)}: taken as 0 s")
        lacking = {count: _lacking(made, fitted(known, count, supply)) for count in counts}
        if not all(lacking.values()):  # else the simulation says why
            for count in filter(lacking.get, counts):
                say(f"left out: {count} processors; {lacking[count]}")
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
            names = ("processors", "makespan", "lower_bound")
            print_json(output, {"runs": [{name: getattr(item, name) for name in names} for item in runs]})
            return
        print_text(output, "processors  makespan  lower bound")
        for item in runs:
            times = f"{item.makespan:>6.2f} s  {item.lower_bound:>9.2f} s"
            print_text(output, f"{item.processors:>10}  {times}")


def _lacking(made: Plan, functions: Mapping[str, Function]) -> str:
    """Why the plan can't be run with what there is, at its first call that can't."""
    return next((why for call in made if (why := functions[call.function].shortage)), "")


app.command()(explain)


@app.command()
def models(
    fetch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fetch this local model's weights now.")
    ] = None,
    as_json: options.Json = False,
    raw: options.Raw = False,
) -> None:
    """List the models: where they come from, how large they are, whether they are here."""
    with reported(), clean_output() as output:
        from llmorch.cli.models import listed, table

        if fetch is not None:
            from llmorch.cli.progress import Progress
            from llmorch.models.weights import find

            with Progress() as progress:
                find(fetch, progress=progress.fetched)
        rows = listed()
        if as_json:
            print_json(output, {"models": rows})
        else:
            print_text(output, table(rows))
