"""``llmorch explain``, as a person runs it: on what ``--json`` printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.cli.explanation import advice
from llmorch.explain import explain
from llmorch.records import Run
from tests.cli.test_cli import FUNCTIONS, llmorch
from tests.test_explain import call, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Program

PLAN = (
    's1 = fetch(name="a", seconds=0.4)\ns2 = spin(seconds=0.1)\ns3 = spin(seconds=len(s1) / 20)\n'
    's4 = fetch(name="{s1} {s2} {s3}")\n'
)


def test_a_saved_run_is_explained(tmp_path: Path, program: Program) -> None:
    file = tmp_path / "run.json"
    file.write_text(llmorch("execute", "-", "-f", FUNCTIONS, "-p", "2", "--json", "-q", stdin=PLAN).stdout)
    done = program("explain", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith(" s on 2 processors")
    assert "s3 waits for s1 (fetch, inout, until " in done.stdout
    assert lines[-2].startswith("idle in all: ")
    assert "for results " in lines[-2]
    assert lines[-1].startswith("what would help most: ")
    assert program("explain", "-", stdin=file.read_text()).stdout == done.stdout
    data = json.loads(program("explain", str(file), "--json").stdout)
    assert [row["processor"] for row in data["processors"]] == [0, 1]
    assert data["chain"][-1] == "s4"
    idle = sum(row["idle"] for row in data["processors"])
    assert idle == pytest.approx(sum(data["reasons"].values()), abs=1e-4)


def test_what_came_from_outside_is_told_with_its_path(tmp_path: Path, program: Program) -> None:
    named = ("fetch", "read", "wipe", "look")
    uses: list[list[str]] = [[], ["s1"], [], []]
    calls = [call(f"s{at}", name, at, at + 1, uses=uses[at - 1]) for at, name in enumerate(named, 1)]
    for one, outside, influenced in zip(calls, (1, 1, 1, 0), (0, 0, 1, 0), strict=True):
        one |= {"outside": bool(outside), "influenced": bool(influenced)}
    note = "wipe() was not made: it has effects, and was written after s1 (fetch) had been read"
    (file := tmp_path / "run.json").write_text(json.dumps({**run(4.0, *calls), "notes": ["other", note]}))
    told = [
        "came from outside: s1 (fetch); s1 (fetch) -> s2 (read); s3 (wipe)",
        "written by the model after it had read that: s3 (wipe) completed",
        f"what is said of that: {note}",
    ]
    assert program("explain", str(file)).stdout.splitlines()[-3:] == told
    assert json.loads(program("explain", str(file), "--json").stdout)["trust"] == told


def test_a_long_chain_from_outside_is_told_in_few_words_and_soon(tmp_path: Path, program: Program) -> None:
    calls = [call(f"s{at}", "f", at, at + 1, uses=[f"s{at - 1}"] if at else []) for at in range(5_000)]
    (file := tmp_path / "run.json").write_text(
        json.dumps(run(5_000.0, *({**one, "outside": True} for one in calls)))
    )
    (told,) = json.loads(program("explain", str(file), "--json").stdout)["trust"]
    assert len(told) < 2_000
    assert told.endswith("; and 4,990 more")


def told_of(data: dict[str, Any]) -> str:
    saved = Run.from_json(data)
    return advice(explain(saved), saved)


def test_the_advice_is_about_what_bounds_the_run() -> None:
    chain = [call("s1", "search", 0.0, 3.0), call("s2", "train", 3.0, 4.0, 0, uses=["s1"])]
    assert told_of(run(4.0, *chain)) == (
        "a shorter longest chain, which takes 4.00 of 4.00 s: s1 (search, 3.00 s) -> s2 (train, 1.00 s); "
        "first of all s1"
    )
    work = [call(f"s{at}", "train", at // 2, at // 2 + 1, at % 2) for at in range(8)]
    assert told_of(run(4.0, *work)) == (
        "more processors, or less to compute: all of it takes 4.00 s a processor, of 4.00 s; "
        "most of it is train (8.00 s)"
    )
    late = [call(f"s{at}", "train", 4.0, 5.0, at, known=4.0) for at in range(2)]
    assert told_of(run(5.0, *late)).startswith("a plan that is written sooner: processors waited 4.00 s each")
    held = [call(f"s{at}", "look", at, at + 1.0, at % 2, submitted=0.0, limits=["look()"]) for at in range(4)]
    assert told_of(run(4.0, *held)).startswith("more of what calls waited for (limits, resources): ")


def test_many_processors_and_many_stretches_are_told_briefly(program: Program) -> None:
    saved = json.loads(
        llmorch(
            "execute", "-", "-f", FUNCTIONS, "-p", "2", "--json", "-q", stdin="s1 = spin(seconds=0.1)"
        ).stdout
    )
    one = saved["calls"][0]
    calls = [
        one | {"id": f"s{at}", "submitted": 2.0 * at, "dispatched": 2.0 * at + 1, "completed": 2.0 * at + 2}
        for at in range(500)
    ]
    told = program(
        "explain", "-", stdin=json.dumps(saved | {"processors": 64, "makespan": 1000.0, "calls": calls})
    ).stdout
    assert "each of processors 1-63: idle 1000.00 s\n" in told
    assert "  and 480 shorter, 480.00 s" in told
    assert len(told.splitlines()) < 40


def test_an_unresolved_run_without_calls_has_nothing_to_explain(program: Program) -> None:
    never_began = llmorch("execute", "-", "--json", stdin="garbage (").stdout
    done = program("explain", "-", stdin=never_began)
    assert (done.returncode, done.stdout) == (0, "no call was made\n")
    assert json.loads(program("explain", "-", "--json", stdin=never_began).stdout)["advice"] is None


@pytest.mark.parametrize(
    ("saved", "says"),
    [
        ("", "is not JSON"),
        ("\udcff", "is not"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "it is no run"),
        ('{"runs": []}', "it is no run"),
        (json.dumps(run(1.0) | {"calls": [{"id": "s1"}]}), "another version"),
        ('{"calls": [], "makespan": 1, "processors": 1}', "query is missing: the run was saved by another"),
        (json.dumps(run(1.0) | {"makespan": float("nan")}), "makespan: "),
        (json.dumps(run(1.0) | {"processors": 99_999_999}), "processors: "),
        ('{"calls": [], "makespan": 1' + "0" * 5000 + ', "processors": 1}', "Exceeds the limit"),
        (
            json.dumps(run(1.0) | {"version": 2}),
            "version: it is of version 2, and this llmorch reads up to 1",
        ),
    ],
)
def test_what_is_no_saved_run_is_a_usage_error(
    tmp_path: Path, saved: str, says: str, program: Program
) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(saved.encode("utf-8", "surrogateescape"))
    done = program("explain", str(file))
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert program("explain", str(tmp_path / "none.json")).returncode == 2
