"""What the documents say is so: their code runs, their links lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import llmorch
from llmorch.plan import parse
from llmorch.records import Status

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "examples").rglob("*.md"),
    *(ROOT / "benchmarks").rglob("*.md"),
]


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def run(code: str | Path) -> str:
    """What a program prints, without a warning or an error."""
    command = [sys.executable, "-W", "error"] + (["-c", code] if isinstance(code, str) else [str(code)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


def test_the_readmes_code_runs() -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    assert run(code) == "13\n"


def test_hello_runs() -> None:
    first, *calls = run(ROOT / "examples" / "hello.py").splitlines()
    assert int(first) > 1_000
    assert [line.split()[0] for line in calls] == ["s1", "s2", "s3", "s4", "s5"]


def test_the_plan_in_the_language_document_is_one() -> None:
    (plan,) = blocks(ROOT / "docs" / "plan-language.md", "")
    assert [call.id for call in parse(plan)] == ["s1", "s2", "s3"]


def test_the_code_about_many_runs_runs() -> None:
    code, policy = blocks(ROOT / "docs" / "many.md", "python")
    assert run(policy) == ""
    assert run(code) == "page 19\n['A', 'B', 'C']\n"


def test_the_code_about_trust_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "trust.md", "python")
    assert run(code).splitlines() == [
        "[('s1', True), ('s2', False), ('s3', True)] sent to bob@example.com",
        "to of send may not come from outside, and does: s1 (read_mail) -> s2 (self) -> to",
    ]


def test_the_code_about_what_a_run_comes_to_runs() -> None:
    results, objects = blocks(ROOT / "docs" / "running.md", "python")
    failed = "ZeroDivisionError: float division by zero"
    assert run(results).splitlines() == [
        "answered 0.25",
        f"s1 failed None {failed}",
        "s2 skipped None s1 failed",
        "s3 completed 0.25 None",
        f"unresolved None s1 (share) failed: {failed}",
        "share needs its argument whole",
    ]
    assert run(objects).splitlines()[2:] == ['s3 = length(text="{s1} and {s2}")', "True 34"]


def test_every_field_and_every_status_is_documented() -> None:
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    names = {field.name for kind in (llmorch.Result, llmorch.CallRecord) for field in fields(kind)} - {
        "group"
    }
    assert {name for name in {*names, *get_args(Status)} if f"`{name}`" not in text} == set()


def test_the_code_about_tests_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "testing.md", "python")
    assert run(code).splitlines() == [
        "3",
        "Query: What is 1 + 2?",
        "the service is down",
        "It is 3.",
        "HELLO",
    ]


def test_the_code_about_effects_runs() -> None:
    declared, objects = blocks(ROOT / "docs" / "effects.md", "python")
    assert run(declared) == ""
    assert run(objects) == "[5.0, 7.0, 5.0, 15.0] [(), (), ('s1',), ()]\n"


def test_the_code_about_failure_runs() -> None:
    recovery, retry = blocks(ROOT / "docs" / "failure.md", "python")
    assert run(recovery) == "3271616\n('s2',) {'s1': 's1 = search(term=\"Utah\", words=2000)'} ('s1', 's2')\n"
    assert run(retry) == "30.5 million people\nretry s1 (search) failed: ConnectionError: reset\n"


def test_the_code_about_nothing_done_twice_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "once.md", "python")
    assert run(code) == (
        "searching Utah\ns1 completed None\ns2 completed None\ns3 completed s1\ns4 completed s2\n"
        "s5 completed None\n"
    )


def test_the_code_about_functions_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "functions.md", "python")
    signatures, calls = run(code).splitlines()
    assert ast.literal_eval(signatures) == [
        "send_email(to: str, text: str = '') -> str",
        "look_up(name: str, k: int (1 to 9) = 3) -> list[str]",
        "ask(question: str) -> str",
    ]
    assert [(id_, same_as) for id_, _, same_as in ast.literal_eval(calls)] == [
        ("s1", None),
        ("s2", "s1"),
        ("s3", None),
        ("s4", None),
    ]


def test_the_code_about_resources_runs() -> None:
    code, large = blocks(ROOT / "docs" / "resources.md", "python")
    assert run(large) == "50000000 <released after its last use: bytes, 50 MB>\n"
    makespan, begun = run(code).split(maxsplit=1)
    times = ast.literal_eval(begun)
    assert makespan == "2.0"
    assert times["s1"] == times["s3"] != times["s2"]


def test_the_code_about_batches_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "batch.md", "python")
    assert run(code) == (
        "[3, 1] ['500 words on Texas', 'ValueError: an empty query', '20 words on Utah', "
        "'500 words on 20 words on Utah']\n"
    )


def test_the_code_about_results_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "results.md", "python")
    assert run(code) == "1999.0 Comment on 2000 orders, 1.999e+06 in all and 1999.0\n"


def test_the_code_about_stopping_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "stopping.md", "python")
    assert run(code).splitlines() == [
        "s1 completed the page quick",
        "s2 failed fetch took longer than its timeout of 0.5 s",
        "s3 completed 14",
        "s4 cancelled cancelled by the caller",
        "s5 skipped s2 failed",
    ]


def test_the_code_about_order_and_forecasts_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "order.md", "python")
    before, after = run(code).splitlines()
    assert before == "('s1', 's2', 's3')"
    known, makespan = after.rsplit(maxsplit=1)
    assert known == "() [1, 2, 2]"
    assert float(makespan) >= 0.3


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "docs/paper.md"])
def test_every_file_that_is_named_exists(document) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_]+/[a-z_/]+\.py)", text):
        assert (ROOT / name).exists() or (ROOT / "src/llmorch" / name).exists(), name
    for name in re.findall(r"::(test_\w+)", text):
        assert any(name in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")), name


def test_the_public_names_are_these() -> None:
    assert sorted(llmorch.__all__) == [
        "CallError",
        "CallRecord",
        "End",
        "Forecast",
        "Function",
        "FunctionCall",
        "FunctionError",
        "Handle",
        "Here",
        "Job",
        "LLMOrchError",
        "LimitReached",
        "ModelError",
        "Orchestrator",
        "Place",
        "Plan",
        "PlanError",
        "Policy",
        "Processors",
        "Proposal",
        "RelationGraph",
        "Released",
        "Result",
        "Run",
        "Session",
        "Simulation",
        "TECHNIQUES",
        "Technique",
        "UnresolvedQuery",
        "Usage",
        "Work",
        "WrongArgument",
        "check",
        "discover",
        "function",
        "methods_of",
        "model_named",
        "parse",
        "render",
        "simulate",
        "stateful",
    ]
    for name in llmorch.__all__:
        assert getattr(llmorch, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = llmorch.nothing
