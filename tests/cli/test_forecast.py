"""``llmorch run --dry-run``, as a person runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from llmorch import Orchestrator
from llmorch.models.recorded import RecordedModel
from llmorch.places.files import load_file
from llmorch.testing import ScriptedModel
from tests.cli.test_cli import FUNCTIONS, llmorch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Program

PLAN = 's1 = fetch(name="a", seconds=0.05)\ns2 = spin(seconds=0.05)\ns3 = self(prompt="{s1} {s2}?")'


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    """A model that wrote this plan, and answered, once."""
    file = tmp_path / "model.jsonl"
    declared = load_file(FUNCTIONS)
    offered = [declared.fetch, declared.spin, declared.stubborn, declared.broken, declared.film]
    model = RecordedModel(file, record=ScriptedModel([PLAN, "yes"]))
    result = Orchestrator(offered, model=model, resources={"camera": 1}, learn=False).run_sync("Both?")
    assert (result.answer, result.status) == ("yes", "answered")
    return f"recorded:{file}"


def test_a_dry_run_prints_the_plan_and_what_it_will_take_and_runs_nothing(
    recorded: str, program: Program
) -> None:
    asked = ("run", "Both?", "-f", FUNCTIONS, "-m", recorded, "-p", "2", "-q", "--resource", "camera=1")
    dry = program(*asked, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "fetching" not in dry.stdout + dry.stderr
    lines = dry.stdout.splitlines()
    assert lines[:3] == PLAN.splitlines()
    assert lines[4].split() == ["call", "function", "kind", "rank", "expected"]
    assert lines[5].split() == ["s1", "fetch", "inout", "1", "unknown"]
    assert "time: at least 0.00 s on 2 processors" in dry.stdout
    assert "nothing is known of them: s1, s2, s3" in dry.stdout
    assert "cost: not known without prices" in dry.stdout
    assert llmorch(*asked).stdout == "yes\n"
    priced = program(*asked, "--dry-run", "--price", "1000000,0").stdout
    assert "median of 1" in priced
    assert "time: at least" not in priced
    assert "model: 2 requests, " in priced
    assert ", at 1e+06 in and 0 out a million tokens" in priced
    data = json.loads(program(*asked, "--dry-run", "--json").stdout)
    assert (data["query"], data["plan"], data["unknown"], data["cost"]) == ("Both?", PLAN, [], None)
    assert data["makespan"] >= 0.05
    assert [call["samples"] for call in data["calls"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--dry-run", "-t", "react"],
            "react thinks in turns and makes no plan to forecast; these do: llmorch",
        ),
        (["--dry-run", "-t", "parallel"], "parallel thinks in turns"),
        (["--dry-run", "-t", "toolcompiler"], "toolcompiler thinks in turns"),
        (["--dry-run", "--price", "1"], "--price 1 is not IN,OUT"),
        (["--dry-run", "--price", "1,-2"], "is not IN,OUT"),
        (["--dry-run", "--price", "nan,1"], "is not IN,OUT"),
        (["--price", "1,2"], "give --dry-run too"),
        (["--dry-run", "-t", "magic"], "there is no technique 'magic'"),
    ],
)
def test_what_can_not_be_foretold_is_a_usage_error(options: list[str], says: str, program: Program) -> None:
    done = program("run", "hi", "-m", "recorded:no-such.jsonl", *options)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
