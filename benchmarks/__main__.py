"""``python -m benchmarks [NAME ...]``: measure, and say what was wanted and what it came to."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import costs
from benchmarks.asking import Settings
from benchmarks.peers.environments import PEERS
from benchmarks.questions import DataMissing
from benchmarks.sets import SETS
from llmorch import TECHNIQUES, LLMOrchError, Orchestrator
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

COSTS = ("compute", "sleeping", "overhead", "array", "plan", "dispatch", "startup")
TABLES = ("schedule", "scaling", "effects", "limits", "peers", "recovery", "stopping")
REPORT = "report"
INTERRUPTED = 130
TERMINATED = 143

_EPILOG = f"""\
what LLMOrch costs, each figure beside a floor: {" ".join(COSTS)} (without a NAME, these)
every technique on questions of --data:         {" ".join(SETS)}
policies, processors, effects, limits, peers, errors, stopping: {" ".join(TABLES)}
all of what --out has, written to RESULTS.md:   {REPORT}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks that were asked for. A missed figure is a result, not an error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = _settings(options)
        for name in options.names:
            if name not in (*COSTS, *SETS, *TABLES, REPORT):
                raise ValueError(
                    f"there is no benchmark {name!r}; there are {', '.join((*COSTS, *SETS, *TABLES))}"
                )
        if options.peers and (unknown := set(options.peers.split(",")) - set(PEERS)):
            raise ValueError(f"there is no peer {min(unknown)!r}; there are {', '.join(PEERS)}")
        without_data = {*COSTS, "peers", "recovery", "stopping", "limits", "cases", REPORT}
        if options.names and options.data is None and set(options.names) - without_data:
            raise ValueError("say by --data where the questions are, as in --data ../shared/data")
    except ValueError as error:
        parser.error(str(error))
    ending = _Ending()
    signal.signal(signal.SIGTERM, ending.terminated)
    try:
        _run(options, settings)
    except (DataMissing, LLMOrchError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(ending.code)


class _Ending:
    """Makes a SIGTERM the same as Ctrl-C, which every benchmark cleans up after; only the exit code differs."""

    def __init__(self) -> None:
        self.code = INTERRUPTED

    def terminated(self, *_: object) -> None:
        """Handle SIGTERM."""
        self.code = TERMINATED
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as for what a script runs by &
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)


def _run(options: argparse.Namespace, settings: Settings) -> None:
    names = options.names or COSTS
    if wanted := [name for name in names if name in COSTS]:
        costs.run(wanted, options.repeats or 5, quick=options.quick, as_json=options.json)
    for name in names:
        if name in SETS:
            from benchmarks import comparing

            text = comparing.run(name, settings, record=options.record)
        elif name in TABLES:
            from benchmarks import others

            text = others.run(name, settings, quick=options.quick, peers=options.peers, model=options.model)
        elif name == REPORT:
            from benchmarks.report import report

            text = report(settings.out)
        else:
            continue
        if options.json:
            text = json.dumps({"benchmark": name, "table": text})
        print(text, flush=True)


def _settings(options: argparse.Namespace) -> Settings:
    techniques = (
        list(dict.fromkeys(options.techniques.split(","))) if options.techniques else list(TECHNIQUES)
    )
    for name in techniques:
        if name not in TECHNIQUES:
            raise ValueError(f"there is no technique {name!r}; there are {', '.join(TECHNIQUES)}")
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
    # Both raise for what there isn't.
    Orchestrator([], model=ScriptedModel([]), policy=options.policy, processors=max(processors, default=None))
    _writable(options.out)
    model = options.model or "local"
    return Settings(
        data=options.data or Path(),
        out=options.out,
        model=model,
        techniques=techniques,
        processors=processors,
        policy=options.policy,
        limit=options.limit,
        repeats=options.repeats or 1,
        seed=options.seed,
        delay=(0.0 if model == "recorded" else 0.5) if options.delay is None else options.delay,
    )


def _writable(folder: Path) -> None:
    """Find out before anything is run. Raises ``ValueError``."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ValueError(f"--out {folder}: {place} is no folder that can be written to")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="which to run, see below")
    add("--data", type=Path, metavar="DIR", help="the folder of questions and pages")
    add("--techniques", metavar="A,B", help=f"of {', '.join(TECHNIQUES)}; default all")
    add(
        "--model",
        help="local (the default), openai:NAME, ..., or recorded: what is kept; recovery asks only one that is named",
    )
    add("--processors", metavar="1,2,4", help="default: what the paper grants, or this machine's if fewer")
    add("--policy", help="coordinate every technique by this policy; default each by its own")
    add("--limit", type=int, metavar="N", help="questions of each set; default all")
    add("--repeats", type=int, metavar="N", help="how often each is run (default 1; costs: 5)")
    add("--seed", type=int, default=0, help="which questions, and in what order")
    add("--delay", type=float, metavar="S", help="seconds added to a remote lookup (0.5; recorded: 0)")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("benchmark-results"),
        help="JSON lines, tables, charts",
    )
    add("--peers", metavar="A,B", help="peers: which of them; default all")
    add("--quick", action="store_true", help="tiny sizes, to see that it works; the times say nothing")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--record", action="store_true", help="keep the model's replies for --model recorded")
    return parser


if __name__ == "__main__":
    main()
