"""What a user names on the command line, read and checked: files, functions, counts.

Errors of a user's are raised as such; nothing is run and nothing is printed here.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmorch.errors import FunctionError
from llmorch.machine import as_lines, file_bytes, rest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmorch.calls import Plan
    from llmorch.declare.functions import Function
    from llmorch.orchestrator import Orchestrator


MOST_READ = 256_000_000
"""Bytes of a plan, a saved run or a file of durations."""


def orchestrator_for(
    functions: list[str] | None,
    *,
    model: str,
    base_url: str | None,
    model_options: list[str] | None,
    progress: Any,
    resources: list[str] | None = None,
    **settings: Any,
) -> Orchestrator:
    """An orchestrator of what the named files and modules declare; ``settings`` are its own arguments."""
    from llmorch.models.named import model_named
    from llmorch.orchestrator import Orchestrator

    with value_errors_as_usage():
        return Orchestrator(
            _offered(functions),
            model=model_named(model, base_url=base_url, progress=progress, options=options_in(model_options)),
            resources=resources_in(resources),
            **settings,
        )


_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("timeout", "first_token", "temperature"), float),
    **dict.fromkeys(("retries", "max_tokens", "max_concurrency"), int),
    "effort": str,
}


def options_in(said: list[str] | None) -> dict[str, Any]:
    """The options of a model by name. Raises ``typer.BadParameter`` for what is none."""
    found: dict[str, Any] = {}
    for one in said or ():
        name, mark, value = one.partition("=")
        try:
            if not mark:
                raise ValueError
            if name.startswith("header."):
                found.setdefault("headers", {})[name.removeprefix("header.")] = value
            else:
                found[name] = _OPTIONS[name](value)
        except (KeyError, ValueError):
            known = ", ".join([*_OPTIONS, "header.NAME"])
            raise typer.BadParameter(
                f"--model-option {name}{mark and '=...'} is not NAME=VALUE with one of {known}, as in timeout=30"
            ) from None
    return found


def _offered(sources: list[str] | None) -> list[Function]:
    """Every decorated function of the named files and modules."""
    from llmorch.declare.offered import declared_by, is_stateful
    from llmorch.places.files import load_file, load_module

    offered: dict[int, Function] = {}
    for source in sources or ():
        is_file = source.endswith(".py") or "/" in source
        module = load_file(source) if is_file else load_module(source)
        values = {id(value): value for value in vars(module).values() if not is_stateful(value)}
        here = {id(declared): declared for value in values.values() for declared in declared_by(value)}
        if not here:
            raise FunctionError(
                f"{source}: nothing in it is decorated with @function, or an object of a @stateful class; "
                "write @function above each function that a plan may call"
            )
        offered |= here
    return list(offered.values())


def planned(planfile: str, functions: list[str] | None) -> tuple[Plan, dict[str, Function]]:
    """A plan from a file, and its functions: those declared, or what can be assumed."""
    from llmorch.declare.functions import SELF, Function
    from llmorch.declare.offered import as_functions, self_function
    from llmorch.plan import check, parse

    made = parse(plan_text(planfile))
    known = {SELF: self_function("inout")}
    if functions:
        # As in the paper's examples: what asks the model computes, since the default model is local.
        offered = as_functions(_offered(functions)).items()
        known |= {name: replace(item, kind="compute") if item.asks_model else item for name, item in offered}
        return check(made, known), known
    for name in dict.fromkeys(call.function for call in made):
        known.setdefault(name, Function(name, call=print, kind="compute"))
    return made, known


def read(planfile: str) -> str:
    """The text of a file, or of standard input. Raises ``typer.BadParameter``."""
    try:
        if planfile != "-":
            return as_lines(file_bytes(planfile, MOST_READ))
        if sys.stdin is None:
            raise typer.BadParameter("standard input can't be read: it is closed")
        return as_lines(rest_of(sys.stdin.fileno(), MOST_READ))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        named = "standard input" if planfile == "-" else planfile
        raise typer.BadParameter(f"{named} can't be read: {reason}") from None


def plan_text(planfile: str) -> str:
    """The text of a plan. Raises ``typer.BadParameter`` for a saved run, which has its plan in it."""
    text = read(planfile)
    if text.lstrip().startswith("{"):  # as no plan does
        with suppress(ValueError, RecursionError):
            if "plan" in json.loads(text):
                raise typer.BadParameter(
                    f'{planfile} is what --json printed: write the text of its "plan" to a file, and give that'
                )
    return text


def durations_in(path: Path) -> dict[str, float]:
    from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

    try:
        data = json.loads(read(str(path)))
        seconds = TypeAdapter(dict[str, Annotated[FiniteFloat, Field(ge=0, strict=True)]])
        return seconds.validate_python(data)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None
    except ValidationError:
        raise typer.BadParameter(
            f'{path} is one object of seconds by name, as in {{"search": 1.5, "s3": 20}}'
        ) from None


def resources_in(said: list[str] | None) -> dict[str, str | list[str]]:
    """What there is, by name; one that is named again has one amount a GPU. Raises ``typer.BadParameter``."""
    from llmorch.declare.resources import GPU_MEMORY

    there: dict[str, str | list[str]] = {}
    gpus: list[str] = []
    for item in said or ():
        name, equals, amount = item.partition("=")
        if not equals or (name in there and name != GPU_MEMORY):
            problem = "is given twice" if equals else "is not NAME=AMOUNT, as in camera=1"
            raise typer.BadParameter(f"--resource {item} {problem}")
        if name == GPU_MEMORY:
            gpus.append(amount)
        there[name] = gpus if name == GPU_MEMORY else amount
    return there


def counts_in(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1 or max(counts) > 1_000_000:
        raise typer.BadParameter(f"{text!r} is not a list of processor counts, as in 1,2,4,8")
    return counts


def check_query(query: str) -> None:
    if not query.strip():
        raise typer.BadParameter("the query is empty")


@contextmanager
def value_errors_as_usage() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
