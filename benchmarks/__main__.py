"""``python -m benchmarks [NAME ...]``: measure, and say what was wanted and what it came to."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import costs
from benchmarks.asking import Settings, compared
from benchmarks.peers.adapters import PEERS
from benchmarks.questions import DataMissing
from benchmarks.report import TABLES, report
from benchmarks.sets import SETS
from llmorch import TECHNIQUES, LLMOrchError, Orchestrator
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

REPORT = "report"
NAMES = (*costs.COSTS, *SETS, *TABLES, REPORT)
"""Every benchmark. A set is a module of ``benchmarks.sets``, a table one with ``run(settings) -> Markdown``."""
WITHOUT_DATA = {*costs.COSTS, "peers", "recovery", "injection", "cases", REPORT}
INTERRUPTED, TERMINATED = 130, 143

_EPILOG = f"""\
what LLMOrch costs, each figure beside a floor: {" ".join(costs.COSTS)} (without a NAME, these)
every technique on questions of --data:         {" ".join(SETS)}
policies, processors, effects, peers, and so on: {" ".join(TABLES)}
all of what --out has, written to RESULTS.md:   {REPORT}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks that were asked for. A missed figure is a result, not an error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = _settings(options)
    except ValueError as error:
        parser.error(str(error))
    codes = [INTERRUPTED]

    def terminated(*_: object) -> None:
        """Make a SIGTERM the same as Ctrl-C, which every benchmark cleans up after; only the exit code differs."""
        codes[0] = TERMINATED
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as for what a script runs by &
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, terminated)
    try:
        names = options.names or list(costs.COSTS)
        if wanted := [name for name in names if name in costs.COSTS]:
            costs.run(wanted, options.repeats or 5, quick=options.quick, as_json=options.json)
        for name in names:
            if name not in costs.COSTS:
                text = _table(name, settings)
                print(json.dumps({"benchmark": name, "table": text}) if options.json else text, flush=True)
    except (DataMissing, LLMOrchError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(codes[0])


def _table(name: str, settings: Settings) -> str:
    """What one benchmark comes to as Markdown, which is also kept in ``settings.out``."""
    if name == REPORT:
        return report(settings.out)
    if name in SETS:
        return compared(name, settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    text: str = import_module(f"benchmarks.{name}").run(settings)
    (settings.out / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def _settings(options: argparse.Namespace) -> Settings:
    """What the options ask for. Raises ``ValueError`` with one line for what can't be."""

    def listed(text: str | None, known: Sequence[str], what: str) -> list[str]:
        names = list(dict.fromkeys(text.split(","))) if text else []
        for name in names:
            if name not in known:
                raise ValueError(f"there is no {what} {name!r}; there are {', '.join(known)}")
        return names

    listed(",".join(options.names), NAMES, "benchmark")
    if options.names and options.data is None and set(options.names) - WITHOUT_DATA:
        raise ValueError("say by --data where the questions are, as in --data ../shared/data")
    try:
        processors = [int(part) for part in options.processors.split(",")] if options.processors else []
    except ValueError:
        processors = [0]
    if processors and min(processors) < 1:
        raise ValueError(f"--processors is a list of numbers, as in 1,2,4, not {options.processors!r}")
    for name in ("repeats", "limit"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"--{name} is at least 1")
    if options.delay is not None and not (math.isfinite(options.delay) and options.delay >= 0):
        raise ValueError(f"--delay is a number of seconds, at least 0, not {options.delay:g}")
    # Raises for a policy that there isn't, and for more processors than can be.
    Orchestrator([], model=ScriptedModel([]), policy=options.policy, processors=max(processors, default=None))
    place = next(path for path in (options.out, *options.out.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ValueError(f"--out {options.out}: {place} is no folder that can be written to")
    model = options.model or "local"
    return Settings(
        data=options.data or Path(),
        out=options.out,
        model=model,
        techniques=listed(options.techniques, list(TECHNIQUES), "technique") or list(TECHNIQUES),
        processors=processors,
        policy=options.policy,
        limit=options.limit,
        repeats=options.repeats or 1,
        seed=options.seed,
        delay=(0.0 if model == "recorded" else 0.5) if options.delay is None else options.delay,
        quick=options.quick,
        asked=options.model,
        peers=listed(options.peers, list(PEERS), "peer"),
        record=options.record,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, out = parser.add_argument, Path("benchmark-results")
    add("names", nargs="*", metavar="NAME", help="which to run, see below")
    add("--data", type=Path, metavar="DIR", help="the folder of questions and pages")
    add("--techniques", metavar="A,B", help=f"of {', '.join(TECHNIQUES)}; default all")
    add(
        "--model",
        help="local (the default), openai:NAME, ..., or recorded; recovery asks only one that is named",
    )
    add("--processors", metavar="1,2,4", help="default: what the paper grants, or this machine's if fewer")
    add("--policy", help="coordinate every technique by this policy; default each by its own")
    add("--limit", type=int, metavar="N", help="questions of each set; default all")
    add("--repeats", type=int, metavar="N", help="how often each is run (default 1; costs: 5)")
    add("--seed", type=int, default=0, help="which questions, and in what order")
    add("--delay", type=float, metavar="S", help="seconds added to a remote lookup (0.5; recorded: 0)")
    add("--out", type=Path, metavar="DIR", default=out, help="JSON lines, tables, charts")
    add("--peers", metavar="A,B", help="peers: which of them; default all")
    add("--quick", action="store_true", help="tiny sizes, to see that it works; the times say nothing")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--record", action="store_true", help="keep the model's replies for --model recorded")
    return parser


if __name__ == "__main__":
    main()
