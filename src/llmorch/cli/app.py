"""The commands, their options, and their exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmorch.errors import EvaluationError, FunctionError, LLMOrchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from llmorch.calls import Plan
    from llmorch.functions import Function
    from llmorch.orchestrator import Orchestrator
    from llmorch.result import Result

NOT_RESOLVED, USAGE, INTERRUPTED = 1, 2, 130
PATIENCE = 0.8
"""Seconds that an interrupted run has to end by itself."""

app = typer.Typer(
    name="llmorch",
    help="Translate a query into function calls, and run them as parallel as they allow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Functions = Annotated[
    list[str] | None,
    typer.Option(
        "--functions", "-f", metavar="FILE|MODULE", help="Offer what this file decorates with @function."
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="local, local:0.5b, local:FILE.gguf, openai:NAME or recorded:FILE."),
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
Deadline = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help="Stop the run when it takes longer.")
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Stop the run when the model has used as many tokens.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Trace = Annotated[
    Path | None,
    typer.Option("--save-trace", metavar="FILE", help="Write a Chrome trace, which Perfetto opens."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, plan or timeline on standard error.")
]


@app.command()
def run(
    query: str,
    functions: Functions = None,
    model: Model = "local",
    base_url: BaseUrl = None,
    technique: Technique = "llmorch",
    policy: RunPolicy = None,
    processors: Processors = None,
    examples: Examples = None,
    max_recoveries: MaxRecoveries = None,
    replan: Replan = False,
    deadline: Deadline = None,
    max_tokens: MaxTokens = None,
    as_json: Json = False,
    save_trace: Trace = None,
    quiet: Quiet = False,
) -> None:
    """Answer QUERY by calling functions."""
    with _reported(), _clean_output() as output:
        from llmorch.cli.progress import Progress

        _check_query(query)
        progress = Progress(quiet=quiet)
        orchestrator = _orchestrator(
            functions,
            model=model,
            base_url=base_url,
            technique=technique,
            policy=policy,
            processors=processors,
            examples=examples,
            max_recoveries=max_recoveries,
            replan=replan,
            progress=progress.fetched,
        )
        with _told_as_json(output if as_json else None, orchestrator, query):
            progress.planning(model)
            result = _play(
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
        _finish(result, output, progress, as_json=as_json, save_trace=save_trace)


@app.command()
def execute(
    planfile: str,
    functions: Functions = None,
    model: Model = "local",
    base_url: BaseUrl = None,
    policy: Policy = "critical",
    processors: Processors = None,
    as_json: Json = False,
    save_trace: Trace = None,
    quiet: Quiet = False,
) -> None:
    """Run the plan in PLANFILE (- for standard input), without asking a model for one."""
    with _reported(), _clean_output() as output:
        from llmorch.cli.progress import Progress

        progress = Progress(quiet=quiet)
        orchestrator = _orchestrator(
            functions,
            model=model,
            base_url=base_url,
            policy=policy,
            processors=processors,
            progress=progress.fetched,
        )
        with _told_as_json(output if as_json else None, orchestrator, None):
            plan = orchestrator.check(_read(planfile))
            result = _play(
                orchestrator, progress, lambda: orchestrator.execute(plan, observer=progress.observe)
            )
        _finish(result, output, progress, as_json=as_json, save_trace=save_trace)


@app.command()
def plan(
    query: str,
    functions: Functions = None,
    model: Model = "local",
    base_url: BaseUrl = None,
    technique: Technique = "llmorch",
    examples: Examples = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the plan for QUERY, without running it."""
    with _reported(), _clean_output() as output:
        from llmorch.cli.graphs import as_json as graph_json
        from llmorch.cli.progress import Progress
        from llmorch.plan import render
        from llmorch.relations import discover

        _check_query(query)
        progress = Progress(quiet=quiet)
        orchestrator = _orchestrator(
            functions,
            model=model,
            base_url=base_url,
            technique=technique,
            examples=examples,
            progress=progress.fetched,
        )
        progress.planning(model)
        made = _play(orchestrator, progress, lambda: orchestrator.plan(query, wrote=progress.wrote))
        text = render(made)
        if as_json:
            graph = discover(made, orchestrator.functions)
            text = json.dumps({"query": query, "plan": text, **graph_json(graph)}, indent=2)
        _print(output, text)


@app.command()
def graph(
    planfile: str,
    functions: Functions = None,
    form: Annotated[str, typer.Option("--format", help="mermaid, dot or json.")] = "mermaid",
) -> None:
    """Print the relation graph of the plan in PLANFILE (- for standard input).

    Without --functions, every function but self is taken to be compute.
    """
    with _reported():
        from llmorch.cli.graphs import FORMATS
        from llmorch.relations import discover

        if form not in FORMATS:
            raise typer.BadParameter(f"there is no format {form!r}; there are {', '.join(FORMATS)}")
        made, known = _planned(planfile, functions)
        _print(sys.stdout, FORMATS[form](discover(made, known)))


@app.command()
def simulate(
    planfile: str,
    durations: Annotated[
        Path, typer.Option(metavar="FILE", help="JSON: seconds by function name or by call id.")
    ],
    processors: Annotated[str, typer.Option("--processors", "-p", help="As in 1,2,4,8.")] = "1,2,4,8",
    policy: Policy = "critical",
    functions: Functions = None,
    as_json: Json = False,
) -> None:
    """Say how long the plan in PLANFILE would take, on any number of processors.

    Without --functions, every function but self is taken to be compute.
    """
    with _reported():
        from llmorch.runtime.simulate import simulate as simulated

        counts = _counts(processors)
        _check_policy(policy)
        made, known = _planned(planfile, functions)
        seconds = _durations(durations)
        if missing := [call.id for call in made if call.id not in seconds and call.function not in seconds]:
            typer.echo(f"no duration is given for {', '.join(missing)}: taken as 0 s", err=True)
        runs = [simulated(made, known, seconds, processors=count, policy=policy) for count in counts]
        if as_json:
            rows = [
                {"processors": item.processors, "makespan": item.makespan, "lower_bound": item.lower_bound}
                for item in runs
            ]
            _print(sys.stdout, json.dumps({"runs": rows}, indent=2))
            return
        lines = ["processors  makespan  lower bound"]
        lines += [
            f"{item.processors:>10}  {item.makespan:>6.2f} s  {item.lower_bound:>9.2f} s" for item in runs
        ]
        _print(sys.stdout, "\n".join(lines))


@app.command()
def models(
    fetch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fetch this local model's weights now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models: where they come from, how large they are, whether they are here."""
    with _reported():
        from llmorch.cli.models import fetched, listed, table

        if fetch is not None:
            fetched(fetch)
        rows = listed()
        _print(sys.stdout, json.dumps({"models": rows}, indent=2) if as_json else table(rows))


def _orchestrator(
    functions: list[str] | None,
    *,
    model: str,
    base_url: str | None,
    progress: Any,
    technique: str = "llmorch",
    policy: str | None = None,
    processors: int | None = None,
    examples: Path | None = None,
    max_recoveries: int | None = None,
    replan: bool = False,
) -> Orchestrator:
    from llmorch.orchestrator import Orchestrator, model_named

    try:
        return Orchestrator(
            _offered(functions),
            model=model_named(model, base_url=base_url, progress=progress),
            technique=technique,
            policy=policy,
            processors=processors,
            examples=examples,
            max_recoveries=max_recoveries,
            replan=replan,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _offered(sources: list[str] | None) -> list[Function]:
    """Every decorated function of the named files and modules."""
    from llmorch.functions import declared_in
    from llmorch.processors.files import load_file, load_module

    offered: dict[int, Function] = {}
    for source in sources or ():
        is_file = source.endswith(".py") or "/" in source
        module = load_file(source) if is_file else load_module(source)
        found = [declared_in(value) for value in vars(module).values()]
        here = {id(declared): declared for declared in found if declared is not None}
        if not here:
            raise FunctionError(f"{source}: nothing in it is decorated with @function")
        offered |= here
    return list(offered.values())


def _planned(planfile: str, functions: list[str] | None) -> tuple[Plan, dict[str, Function]]:
    """A plan from a file, and its functions: those declared, or what can be assumed."""
    from llmorch.functions import SELF, Function, as_functions, self_function
    from llmorch.plan import check, parse

    made = parse(_read(planfile))
    known = {SELF: self_function("inout")}
    if functions:
        # As in the paper's examples: what asks the model computes, since the default model is local.
        offered = as_functions(_offered(functions)).items()
        known |= {name: replace(item, kind="compute") if item.asks_model else item for name, item in offered}
        return check(made, known), known
    for name in dict.fromkeys(call.function for call in made):
        known.setdefault(name, Function(name, call=print, kind="compute"))
    return made, known


def _play(orchestrator: Orchestrator, progress: Any, work: Callable[[], Any]) -> Any:
    """Run to the end with live progress, and leave nothing behind."""

    async def played() -> Any:
        async with orchestrator:
            with progress, _ended_in_time(progress):
                return await work()

    try:
        return asyncio.run(played())
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {progress.summary()}", err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _ended_in_time(progress: Any) -> Iterator[None]:
    """See to it that an interrupt ends the program, also when a function ignores it.

    The worker processes and the local model end with this process.
    """
    before = signal.getsignal(signal.SIGINT)

    def give_up() -> None:
        os.write(2, f"interrupted; {progress.summary()}\n".encode())
        os._exit(INTERRUPTED)

    def interrupted(*args: Any) -> None:
        timer = threading.Timer(PATIENCE, give_up)
        timer.daemon = True
        timer.start()
        if callable(before):
            before(*args)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _finish(result: Result, output: TextIO, progress: Any, *, as_json: bool, save_trace: Path | None) -> None:
    from llmorch.plan.evaluate import as_text
    from llmorch.result import json_value

    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        _print(output, json.dumps(result.as_json(), indent=2))
    elif result.status == "answered":
        try:
            text = as_text(result.answer)
        except EvaluationError:
            text = str(json_value(result.answer))
        _print(output, text)
    progress.conclude(result)
    if save_trace is not None:
        from llmorch.cli.timeline import chrome_trace

        try:
            save_trace.write_text(json.dumps(chrome_trace(result)), encoding="utf-8")
        except OSError as error:
            raise LLMOrchError(f"the trace can't be written to {save_trace}: {error.strerror}") from None
    if result.status != "answered":
        typer.echo(f"error: not resolved: {result.error}", err=True)
        raise typer.Exit(NOT_RESOLVED)


@contextmanager
def _reported() -> Iterator[None]:
    """One clear line for what the user can act on; a traceback only for our defects."""
    try:
        yield
    except LLMOrchError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE if isinstance(error, FunctionError) else NOT_RESOLVED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(NOT_RESOLVED) from None


@contextmanager
def _told_as_json(output: TextIO | None, orchestrator: Orchestrator, query: str | None) -> Iterator[None]:
    """An error as the JSON object of an unresolved run, where JSON was asked for."""
    try:
        yield
    except LLMOrchError as error:
        if output is not None:
            from llmorch.result import unplanned

            technique = None if query is None else orchestrator.technique
            if error.result is not None and len(error.result.calls):
                data = error.result.as_json()
            else:
                data = unplanned(query, technique, error, orchestrator.processors, orchestrator.usage)
            _print(output, json.dumps(data, indent=2))
        raise


@contextmanager
def _clean_output() -> Iterator[TextIO]:
    """Standard output for the answer alone: what functions print goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(kept, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as output:
            yield output
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _print(output: TextIO, text: str) -> None:
    output.write(f"{text}\n")
    output.flush()


def _read(planfile: str) -> str:
    try:
        return sys.stdin.read() if planfile == "-" else Path(planfile).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise typer.BadParameter(f"{planfile} can't be read: {reason}") from None


def _durations(path: Path) -> dict[str, float]:
    try:
        data = json.loads(_read(str(path)))
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None
    good = isinstance(data, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        for value in data.values()
    )
    if not good:
        raise typer.BadParameter(
            f'{path} is one object of seconds by name, as in {{"search": 1.5, "s3": 20}}'
        )
    return {name: float(value) for name, value in data.items()}


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1 or max(counts) > 1_000_000:
        raise typer.BadParameter(f"{text!r} is not a list of processor counts, as in 1,2,4,8")
    return counts


def _check_query(query: str) -> None:
    if not query.strip():
        raise typer.BadParameter("the query is empty")


def _check_policy(name: str) -> None:
    from llmorch.schedule import policy_named

    try:
        policy_named(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
