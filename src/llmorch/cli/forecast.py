"""What ``llmorch run --dry-run`` prints: the plan, and what it will probably take."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import typer

from llmorch.cli.end import columns, counted, played, print_json, print_text
from llmorch.errors import LimitReached
from llmorch.requests import Usage

if TYPE_CHECKING:
    from typing import TextIO

    from llmorch.calls import Plan
    from llmorch.forecast import Forecast, ForecastCall
    from llmorch.orchestrator import Orchestrator


def check_dry_run(technique: str, price: str | None, *, dry_run: bool) -> tuple[float, float] | None:
    """The prices of a million tokens, in and out. Raises ``typer.BadParameter`` for what can't be."""
    from llmorch.techniques import TECHNIQUES

    if not dry_run:
        if price is not None:
            raise typer.BadParameter("--price is for a forecast: give --dry-run too")
        return None
    known = TECHNIQUES.get(technique)
    if known is not None and not known.plans:
        named = ", ".join(name for name, item in TECHNIQUES.items() if item.plans)
        raise typer.BadParameter(
            f"--dry-run: {technique} thinks in turns and makes no plan to forecast; these do: {named}"
        )
    if price is None:
        return None
    try:
        input_price, output_price = (float(part) for part in price.split(","))
    except ValueError:
        input_price = output_price = math.nan
    if not (0 <= input_price < math.inf and 0 <= output_price < math.inf):
        raise typer.BadParameter(
            f"--price {price} is not IN,OUT, the prices of a million tokens, as in 0.15,0.60"
        )
    return input_price, output_price


def foretell(
    orchestrator: Orchestrator,
    query: str,
    output: TextIO,
    progress: Any,
    *,
    prices: tuple[float, float] | None,
    as_json: bool,
    deadline: float | None,
    max_tokens: int | None,
) -> None:
    """Have the plan made, run nothing, and print what it will take."""
    usage = Usage()

    async def plan_in_time() -> Plan:
        limit = asyncio.timeout(deadline)
        try:
            async with limit:
                return await orchestrator.plan(
                    query, wrote=progress.wrote, usage=usage, max_tokens=max_tokens
                )
        except TimeoutError:
            if not limit.expired():
                raise
            raise LimitReached(f"the plan took longer than its deadline of {deadline:g} s") from None

    plan = played(orchestrator, progress, plan_in_time)
    found = orchestrator.forecast(plan, planning=usage, prices=prices)
    if as_json:
        print_json(output, {"query": query, **found.as_json()})
    else:
        print_text(output, text(found))


def text(found: Forecast) -> str:
    """The forecast for people."""
    from llmorch.plan import render

    rows = [("call", "function", "kind", "rank", "expected")]
    rows += [(call.id, call.function, call.kind, str(call.rank), _expected(call)) for call in found.calls]
    where = counted(found.processors, "processor")
    least = "at least " if found.unknown else ""
    time = f"time: {least}{found.makespan:.2f} s on {where} (lower bound {found.lower_bound:.2f} s)"
    if found.unknown:
        time += f"; counted as 0 s, as nothing is known of them: {', '.join(found.unknown)}"
    return "\n".join([render(found.plan), "", *columns(rows), "", time, *_model(found), _cost(found)])


def _expected(call: ForecastCall) -> str:
    if call.same_as is not None:
        return f"the same as {call.same_as}"
    if call.unused:
        return "not executed: nothing uses its result"
    if call.seconds is None:
        return "unknown"
    asked = ""
    if call.requests is not None:
        asked = f"; {call.input_tokens:,.0f} tokens in and {call.output_tokens:,.0f} out"
    return f"{call.seconds:.3g} s, median of {call.samples}{asked}"


def _model(found: Forecast) -> list[str]:
    lines = []
    if found.planning.requests:
        lines.append(f"  for this plan: {_asked(found.planning)}, {found.planning.seconds:.1f} s")
    by_calls = sum(call.asks_model for call in found.calls if call.executed)
    if by_calls:
        unknown = f"; nothing is known of {', '.join(found.unknown_usage)}" if found.unknown_usage else ""
        lines.append(f"  by {by_calls} of its calls{unknown}")
    if found.after is None:
        lines.append("  after the plan: unknown")
    elif found.after.requests:
        lines.append(f"  after the plan, usually: {_asked(found.after)}")
    least = "at least " if found.unknown_usage or found.after is None else ""
    return [f"model: {least}{_asked(found.usage)}", *lines]


def _asked(usage: Usage) -> str:
    tokens = f"{usage.input_tokens:,} tokens in and {usage.output_tokens:,} out"
    return f"{counted(usage.requests, 'request')}, {tokens}"


def _cost(found: Forecast) -> str:
    if found.prices is None:
        return "cost: not known without prices: --price IN,OUT, of a million tokens"
    if not any(found.prices):
        return "cost: nothing"
    least = "at least " if found.unknown_usage or found.after is None else ""
    return f"cost: {least}{found.cost:.6g}, at {found.prices[0]:g} in and {found.prices[1]:g} out a million tokens"
