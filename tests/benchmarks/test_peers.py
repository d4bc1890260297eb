"""The benchmark of peers: what it asks, what it calls right, and that our row can be measured."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.peers import measuring, tasks
from benchmarks.peers.adapters import PEERS
from benchmarks.peers.columns import COLUMNS, QUICK, Measuring, NoLimitError, Script, Setup
from benchmarks.peers.environments import NotInstalledError, reason_in
from benchmarks.peers.measuring import PeerRow, is_right, markdown, measure, words

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def called(setup: Setup, text: str, mapped: Callable[..., Any]) -> list[str]:
    """Ask the script, run its calls, and tell what they returned."""
    functions = {function.__name__: function for function in setup.functions}
    calls = setup.script.request(text)
    return list(mapped(lambda call: functions[call.function](**call.arguments), calls))


def one_by_one(setup: Setup) -> Callable[[], object]:
    """An executor that calls in turn, ends at the first failure and knows no limits."""
    if setup.limit is not None:
        raise NoLimitError
    return lambda: called(setup, repr(called(setup, "go", map)), map)


def on_threads(setup: Setup) -> Callable[[], object]:
    """An executor that calls all at once, and waits for each no longer than its limit."""

    def told(call: Callable[[], str]) -> str:
        try:
            return call()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def run() -> None:
        pool = ThreadPoolExecutor(40)
        functions = {function.__name__: function for function in setup.functions}
        running = [
            pool.submit(functions[call.function], **call.arguments) for call in setup.script.request("go")
        ]
        results = [told(lambda future=future: future.result(setup.limit)) for future in running]
        pool.shutdown(wait=setup.limit is None)
        setup.script.request(repr(results))

    return run


def outcome(column: str, adapter: Callable[[Setup], Callable[[], object]], folder: Path) -> dict[str, Any]:
    return getattr(Measuring(adapter, folder, QUICK, option=False), column)()


def test_a_script_gives_its_calls_once_and_then_hears_what_came_of_them() -> None:
    script = Script()
    script.begin([(tasks.step, {"number": 1}), (tasks.step, {"number": 3})])
    assert [(call.id, call.function, call.arguments) for call in script.request("go")] == [
        ("call001", "step", {"number": 1}),
        ("call002", "step", {"number": 3}),
    ]
    assert script.told is None
    assert not script.heard("stepped", 1)
    assert script.request(f"results: {tasks.said('stepped', 1)}") == ()
    assert script.heard("stepped", 1)
    assert not script.heard("stepped", 3)
    script.begin([(tasks.step, {"number": 1})])
    assert [call.id for call in script.request("go")] == ["call003"]
    assert not script.heard("stepped", 1)


def test_every_result_says_which_call_it_is_of(tmp_path) -> None:
    path = tmp_path / "value.txt"
    assert tasks.burn(3, 1) == tasks.said("burnt", 3, 3)
    assert tasks.doze(4, 0.0) == tasks.said("dozed", 4)
    assert tasks.write(5, str(path), "new", 0.0) != tasks.write(6, str(path), "new", 0.0)
    assert tasks.read(5, str(path)) == tasks.said("found", 5, "new")
    assert tasks.step(1) == tasks.said("stepped", 1)
    with pytest.raises(ValueError, match="step 2 can't be done"):
        tasks.step(tasks.FAILING)


def test_calls_in_turn_read_the_new_value_and_calls_at_once_the_old_one(tmp_path) -> None:
    in_turn = outcome("order", one_by_one, tmp_path)
    at_once = outcome("order", on_threads, tmp_path)
    assert in_turn == {"reads": ["new", "new"], "ended": "answered"}
    assert at_once == {"reads": ["old", "old"], "ended": "answered"}
    assert is_right("order", [in_turn])
    assert not is_right("order", [in_turn, at_once])


def test_a_failure_that_ends_the_run_keeps_nothing_for_the_model(tmp_path) -> None:
    ending = outcome("failure", one_by_one, tmp_path)
    assert ending["ended"].startswith("ValueError: ")
    assert (ending["kept"], ending["wanted"], is_right("failure", [ending])) == (0, 3, False)
    going_on = outcome("failure", on_threads, tmp_path)
    assert (going_on["kept"], going_on["ended"], is_right("failure", [going_on])) == (3, "answered", True)


def test_a_call_that_is_reported_in_time_but_runs_on_is_not_stopped(tmp_path) -> None:
    reported = outcome("timeout", on_threads, tmp_path)
    assert reported["offered"]
    assert reported["reported"] < QUICK.late
    assert reported["file"]
    assert not is_right("timeout", [reported])
    assert words("timeout", [reported]) == "reported after 0.15 s, runs on"
    unlimited = outcome("timeout", one_by_one, tmp_path)
    assert words("timeout", [unlimited]) == "no limit offered"
    assert not is_right("timeout", [unlimited])


def test_a_call_that_never_began_was_not_stopped(tmp_path) -> None:
    def broken(setup: Setup) -> Callable[[], object]:
        def run() -> None:
            setup.script.request("go")
            raise TypeError("no such tool")

        return run

    uncalled = outcome("timeout", broken, tmp_path)
    assert not uncalled["file"]
    assert not is_right("timeout", [uncalled])
    assert words("timeout", [uncalled]) == "never called: TypeError: no such tool"


def test_a_limit_that_an_executor_refuses_is_an_outcome(tmp_path) -> None:
    def refusing(setup: Setup) -> Callable[[], object]:
        raise ValueError("only for async functions")

    refused = outcome("timeout", refusing, tmp_path)
    assert refused["refused"] == "ValueError: only for async functions"
    assert words("timeout", [refused]) == "refused for a synchronous function"
    assert not is_right("timeout", [refused])


def test_sleeping_calls_are_complete_only_if_the_model_heard_of_each(tmp_path) -> None:
    def forgetful(setup: Setup) -> Callable[[], object]:
        return lambda: called(setup, repr(called(setup, "go", map)[1:]), map)

    assert outcome("sleep", on_threads, tmp_path)["complete"]
    lost = outcome("sleep", forgetful, tmp_path)
    assert not lost["complete"]
    assert words("sleep", [lost]) == "incomplete: answered"


def test_the_computing_calls_stand_beside_bare_processes_of_the_same_run(tmp_path) -> None:
    measured = outcome("cpu", one_by_one, tmp_path)
    assert measured["complete"]
    assert measured["serial"] > 0
    assert measured["together"] > 0
    assert [floor > 0 for floor in measured["floors"]] == [True, True]


RIGHT = PeerRow(
    "swift",
    "swift==1",
    "1.0",
    outcomes={
        "cpu": [
            {"serial": 4.0, "together": 2.0, "floors": [2.0, 2.0], "ended": "answered", "complete": True}
        ],
        "sleep": [{"seconds": 0.6, "sleep": 0.5, "ended": "answered", "complete": True}] * 2,
        "order": [{"reads": ["new", "new"], "ended": "answered"}],
        "failure": [{"ended": "answered", "wanted": 3, "kept": 3, "left": 0}],
        "timeout": [
            {
                "limit": 0.3,
                "late": 1.5,
                "offered": True,
                "refused": None,
                "reported": 0.31,
                "seconds": 0.31,
                "ended": "answered",
                "begun": True,
                "file": False,
            }
        ],
    },
)
WRONG = PeerRow(
    "slow",
    "slow==2",
    "2.0",
    outcomes={
        "cpu": [{"hangs": 60.0}],
        "sleep": [{"seconds": 3.5, "sleep": 0.5, "ended": "answered", "complete": True}],
        "order": [{"reads": ["old", "new"], "ended": "answered"}],
        "failure": [{"ended": "ValueError: no", "wanted": 3, "kept": 0, "left": 3}],
        "timeout": [{"failed": "ImportError: <gone> | away"}],
    },
    options={"sleep": "threads=40"},
    with_option={"sleep": [{"seconds": 0.55, "sleep": 0.5, "ended": "answered", "complete": True}]},
)


def test_the_table_says_marks_and_counts_what_is_right() -> None:
    absent = PeerRow("absent", "absent==3", problem="not installed: ERROR: no matching distribution")
    lines = markdown([RIGHT, WRONG, absent]).splitlines()
    assert lines[2:] == [
        "| swift 1.0 | 2.00x; two processes 2.00x **✓** | 0.60 (0.60-0.60) s **✓** | new 2 of 2 **✓** "
        "| goes on, 3 of 3 kept **✓** | reported after 0.3 s, stopped **✓** | 5 of 5 |",
        "| slow 2.0 | hangs: nothing after 60 s | 3.50 s<br>with threads=40: 0.55 s **✓** "
        "| old 1 of 2 and new 1 of 2 | ends, 0 of 3 kept, 3 left to the caller "
        "| failed: ImportError: &lt;gone> \\| away | 0 of 5 |",
        "| absent | not installed: ERROR: no matching distribution | | | | | |",
    ]
    assert {line.replace("\\|", "").count("|") for line in lines} == {8}


def test_a_speed_up_is_right_by_the_processes_of_the_same_repeat() -> None:
    free = {"serial": 4.0, "together": 2.1, "floors": [1.9, 2.1], "ended": "answered", "complete": True}
    slower = free | {"together": 2.6, "floors": [2.5, 2.6]}
    serial = free | {"together": 4.0}
    assert is_right("cpu", [free, slower])
    assert is_right("cpu", [free, serial, slower])
    assert not is_right("cpu", [serial, serial, free])
    assert not is_right("cpu", [free | {"complete": False}])


def test_a_busy_machine_makes_nobody_right_or_wrong() -> None:
    busy = {"serial": 4.0, "together": 4.0, "floors": [2.0, 4.1], "ended": "answered", "complete": True}
    free = busy | {"together": 2.0, "floors": [2.0, 2.0]}
    assert not is_right("cpu", [busy])
    assert words("cpu", [busy, busy]) == "not judged: the machine was busy in each of 2 runs"
    row = PeerRow("any", outcomes={"cpu": [busy], "order": [{"reads": ["new"], "ended": "answered"}]})
    assert (row.judged, row.right) == (["order"], ["order"])
    assert is_right("cpu", [busy, busy, free])
    assert words("cpu", [busy, free]) == words("cpu", [free]) == "2.00x; two processes 2.00x"


def test_nothing_measured_is_not_right() -> None:
    assert PeerRow("none").right == []
    assert words("sleep", []) == "not measured"


def test_our_row_is_measured_in_every_column(tmp_path) -> None:
    said: list[str] = []
    (row,) = measure(["llmorch"], 1, tmp_path, said.append, quick=True)
    assert not row.problem
    assert list(row.outcomes) == list(COLUMNS)
    assert not [outcomes for outcomes in row.outcomes.values() if {"failed", "hangs"} & outcomes[0].keys()]
    assert row.outcomes["cpu"][0]["complete"]
    assert row.outcomes["sleep"][0]["complete"]
    assert None not in row.outcomes["order"][0]["reads"]
    assert {"order", "failure", "timeout"} <= set(row.right)
    (unmended,) = row.with_option["failure"]
    assert (unmended["kept"], unmended["left"]) == (0, unmended["wanted"])
    assert json.loads((tmp_path / "peers.json").read_text(encoding="utf-8")) == [asdict(row)]
    assert said[0] == "llmorch: this checkout"
    assert "llmorch: failure with a model that names no other call" in said


def test_a_peer_that_hangs_or_breaks_has_that_in_its_row(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measuring, "python_of", lambda *_: Path(sys.executable))
    (broken,) = measure(["strands-agents"], 1, tmp_path, str, quick=True, columns=["order"])
    assert "No module named 'strands'" in broken.outcomes["order"][0]["failed"]
    monkeypatch.setattr(measuring, "HANGING", 0.01)
    (slow,) = measure(["llmorch"], 1, tmp_path, str, quick=True, columns=["order"])
    assert slow.outcomes == {"order": [{"hangs": 0.01}]}


def test_a_peer_that_can_not_be_installed_has_the_reason_in_its_row(tmp_path, monkeypatch) -> None:
    def failing(*_: object) -> Path:
        raise NotInstalledError("ERROR: no matching distribution")

    monkeypatch.setattr(measuring, "python_of", failing)
    (row,) = measure(["smolagents"], 1, tmp_path, str)
    assert row.problem == "not installed: ERROR: no matching distribution"
    assert row.outcomes == {}


def test_the_reason_in_an_output_is_its_error_or_its_last_line() -> None:
    assert reason_in("ERROR: no such package\nnotice: upgrade pip\n") == "ERROR: no such package"
    assert reason_in("Traceback\n  File x\nImportError: gone\n\n") == "ImportError: gone"
    assert reason_in("") == "it failed without a word"


def test_every_option_of_a_peer_is_for_a_column() -> None:
    assert {column for peer in PEERS.values() for column in peer.options} <= set(COLUMNS)


def test_what_runs_in_a_peers_environment_needs_only_the_standard_library() -> None:
    code = "import benchmarks.peers.__main__"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
