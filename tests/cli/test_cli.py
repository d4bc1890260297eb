"""The command line, as a person runs it: real processes, exit codes, both outputs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from llmorch import Orchestrator, UnresolvedQuery
from llmorch.models.recorded import RecordedModel
from llmorch.testing import ScriptedModel

HERE = Path(__file__).parent
FUNCTIONS = str(HERE / "functions.py")
PLAN = 's1 = fetch(name="a")\ns2 = spin(seconds=0.1)\ns3 = spin(seconds=0.2)\ns4 = fetch(name="{s1} {s2} {s3}")\n'
KITTI = (
    "".join(f's{n} = stereo(image="{n}.png")\n' for n in range(1, 9))
    + 's9 = self(prompt="{s1} {s2} {s3} {s4} {s5} {s6} {s7} {s8}")\n'
)


def llmorch(*args: str, stdin: str = "", **options) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    command = [sys.executable, "-m", "llmorch", *args]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False, **options
    )


@pytest.fixture
def plan_file(tmp_path) -> str:
    path = tmp_path / "a plan.txt"
    path.write_text(PLAN)
    return str(path)


def test_execute_prints_the_answer_alone_on_standard_output(plan_file) -> None:
    done = llmorch("execute", plan_file, "--functions", FUNCTIONS)
    assert (done.returncode, done.stdout) == (0, "<<a> 0.1 0.2>\n")
    assert "fetching" in done.stderr
    assert "started on processor 1: s3" in done.stderr
    assert "timeline" in done.stderr


def test_quiet_says_nothing_but_the_answer(plan_file) -> None:
    done = llmorch("execute", plan_file, "-f", FUNCTIONS, "-q")
    assert (done.stdout, done.stderr) == ("<<a> 0.1 0.2>\n", "fetching\nfetching\n")


def test_json_is_one_object_and_a_trace_has_a_row_a_processor(plan_file, tmp_path) -> None:
    trace = tmp_path / "trace.json"
    done = llmorch("execute", plan_file, "-f", FUNCTIONS, "--json", "-p", "2", "--save-trace", str(trace))
    data = json.loads(done.stdout)
    assert (data["status"], data["answer"], data["processors"]) == ("answered", "<<a> 0.1 0.2>", 2)
    assert [call["excludes"] for call in data["calls"]] == [[], ["s3"], ["s2"], []]
    assert 0 < data["lower_bound"] <= data["makespan"]
    events = json.loads(trace.read_text())["traceEvents"]
    rows = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert list(rows.values()) == ["processor 0", "processor 1", "inout 1"]
    bars = [event for event in events if event["ph"] == "X"]
    assert {(event["name"], rows[event["tid"]]) for event in bars} == {
        ("s1 fetch", "inout 1"),
        ("s2 spin", "processor 0"),
        ("s3 spin", "processor 1"),
        ("s4 fetch", "inout 1"),
    }
    assert all(event["dur"] >= 0 for event in bars)


def test_a_failed_call_is_not_resolved_and_the_rest_is_in_the_json() -> None:
    options = ("-f", FUNCTIONS, "--json", "--no-optimize")
    done = llmorch("execute", "-", *options, stdin='s1 = fetch(name="a")\ns2 = broken()\n')
    data = json.loads(done.stdout)
    assert done.returncode == 1
    assert (data["status"], data["answer"]) == ("unresolved", None)
    assert data["calls"][0]["result"] == "<a>"
    assert done.stderr.endswith("error: not resolved: s2 (broken) failed: ValueError: out of order\n")


def test_what_was_tried_is_in_the_json_of_a_run_without_a_plan(tmp_path) -> None:
    file = tmp_path / "garbage.jsonl"
    garbage = RecordedModel(file, record=ScriptedModel(["garbage ("] * 9))
    with pytest.raises(UnresolvedQuery) as raised:
        Orchestrator(model=garbage).run_sync("Do it.")
    done = llmorch("run", "Do it.", "-m", f"recorded:{file}", "--json", "-q")
    data = json.loads(done.stdout)
    assert done.returncode == 1
    assert (data["status"], data["plan"], data["calls"]) == ("unresolved", None, [])
    assert (data["error"], data["usage"]["requests"]) == (str(raised.value), 9)
    assert [item["why"] for item in data["recoveries"]] == [
        item.why for item in raised.value.result.recoveries
    ]
    assert len(data["recoveries"]) == 11  # nine texts, and two translations anew
    never_began = json.loads(llmorch("execute", "-", "--json", stdin="garbage (").stdout)
    assert list(never_began) == list(data)


@pytest.mark.parametrize(
    ("args", "stdin", "code", "says"),
    [
        (["execute", "-", "-f", FUNCTIONS], "s1 = fetch(name=s9)", 1, "line 1, column 17: s9 is not defined"),
        (["execute", "-", "-f", FUNCTIONS], "Sure, here it is.", 1, "write one call a line"),
        (["execute", "-", "-f", FUNCTIONS], "", 1, "the plan has no call"),
        (["execute", "no-such.plan", "-f", FUNCTIONS], "", 2, "can't be read"),
        (["execute", "-", "-f", "no-such.py"], "", 2, "no such file"),
        (["execute", "-", "-f", "json"], "", 2, "nothing in it is decorated"),
        (["run", "hi", "-m", "magic"], "", 2, "there is no model 'magic'"),
        (["run", "hi", "-m", "recorded:no-such.jsonl"], "", 1, "no-such.jsonl"),
        (["run", "hi", "-m", "openai:gpt-9"], "", 1, "OPENAI_API_KEY"),
        (["run", "  "], "", 2, "the query is empty"),
        (["run", "hi", "--policy", "magic"], "", 2, "critical, exclusive"),
        (["run", "hi", "--technique", "magic"], "", 2, "llmorch"),
        (["run", "hi", "-p", "0"], "", 2, "greater than or equal to 1"),
        (["graph", "-", "--format", "png"], "", 2, "mermaid, dot, json"),
        (["simulate", "-", "--durations", "no-such.json"], PLAN, 2, "can't be read"),
        (["simulate", "-", "--durations", FUNCTIONS], PLAN, 2, "is not JSON"),
        (["simulate", "-", "--durations", FUNCTIONS, "-p", "0"], PLAN, 2, "processor counts"),
        ([], "", 2, "Usage"),
        (["fly"], "", 2, "No such command"),
    ],
)
def test_a_mistake_gets_a_clear_error_its_code_and_no_traceback(
    args, stdin, code, says, program, monkeypatch
) -> None:
    for name in list(os.environ):
        if name.startswith("OPENAI_"):
            monkeypatch.delenv(name)
    done = program(*args, stdin=stdin)
    assert done.returncode == code
    assert says in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_graph_prints_the_relations_in_three_forms(plan_file, program) -> None:
    data = json.loads(program("graph", plan_file, "-f", FUNCTIONS, "--format", "json").stdout)
    assert data["calls"][3] == {
        "id": "s4",
        "function": "fetch",
        "kind": "inout",
        "rank": 2,
        "uses": ["s1", "s2", "s3"],
        "excludes": [],
        "after": [],
        "same_as": None,
        "unused": False,
        "outside": False,
        "influenced": False,
        "resources": {},
    }
    assert [call["excludes"] for call in data["calls"]] == [[], ["s3"], ["s2"], []]
    mermaid = program("graph", plan_file, "-f", FUNCTIONS).stdout
    assert mermaid.startswith("flowchart TD\n")
    assert "    s2 --> s4\n" in mermaid
    assert "    s2 -.- s3\n" in mermaid
    dot = program("graph", plan_file, "-f", FUNCTIONS, "--format", "dot").stdout
    assert "    s2 -> s3 [dir=none, style=dashed];\n" in dot


OBJECTS = """
from llmorch import function, stateful

@stateful
class Account:
    balance = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    @function(reads=["{self}"])
    def look(self) -> int:
        return self.balance

account = Account()
"""


def test_the_order_of_an_objects_calls_is_in_every_form_and_in_the_simulation(tmp_path, program) -> None:
    functions, plan, durations = tmp_path / "bank.py", tmp_path / "bank.plan", tmp_path / "durations.json"
    functions.write_text(OBJECTS)
    plan.write_text("s1 = deposit(amount=1)\ns2 = look()\ns3 = look()\ns4 = deposit(amount=2)\n")
    durations.write_text('{"deposit": 2, "look": 3}')
    given = (str(plan), "-f", str(functions))
    done = json.loads(llmorch("execute", *given, "--json", "--no-optimize").stdout)
    assert [call["result"] for call in done["calls"]] == [1, 1, 1, 3]
    orders = [[], ["s1"], ["s1"], ["s1", "s2", "s3"]]
    assert [call["after"] for call in done["calls"]] == orders
    drawn = json.loads(program("graph", *given, "--format", "json").stdout)
    assert [call["after"] for call in drawn["calls"]] == orders
    assert "    s1 ==> s2\n" in program("graph", *given).stdout
    assert "    s1 -> s2 [style=bold];\n" in program("graph", *given, "--format", "dot").stdout
    options = ("--durations", str(durations), "-p", "4", "--json")
    simulated = program("simulate", *given, *options, "--no-optimize").stdout
    assert json.loads(simulated)["runs"] == [{"processors": 4, "makespan": 7.0, "lower_bound": 7.0}]


REPEATING = """s1 = fetch(name="a")
s2 = spin(seconds=0.1)
s3 = spin(seconds=0.1)
s4 = fetch(name="b")
s5 = fetch(name="{s1} {s2} {s3}")
"""


def test_a_plan_is_executed_as_written_but_for_pure_calls_that_are_the_same(tmp_path, program) -> None:
    done = llmorch("execute", "-", "-f", FUNCTIONS, "--json", stdin=REPEATING)
    calls = json.loads(done.stdout)["calls"]
    assert done.returncode == 0
    assert [call["same_as"] for call in calls] == [None, None, "s2", None, None]
    assert [call["status"] for call in calls] == ["completed"] * 5
    assert "completed: s3, the same as s2" in done.stderr
    assert done.stderr.count("fetching\n") == 3
    plain = llmorch("execute", "-", "-f", FUNCTIONS, "--json", "--no-optimize", stdin=REPEATING)
    assert [call["same_as"] for call in json.loads(plain.stdout)["calls"]] == [None] * 5

    drawn = json.loads(program("graph", "-", "-f", FUNCTIONS, "--format", "json", stdin=REPEATING).stdout)
    assert [call["same_as"] for call in drawn["calls"]] == [None, None, "s2", None, None]
    assert [call["unused"] for call in drawn["calls"]] == [False] * 5
    mermaid = program("graph", "-", "-f", FUNCTIONS, stdin=REPEATING).stdout
    assert "    s2 -- same --- s3\n" in mermaid
    dot = program("graph", "-", "-f", FUNCTIONS, "--format", "dot", stdin=REPEATING).stdout
    assert "    s2 -> s3 [dir=none, label=same];\n" in dot

    durations = tmp_path / "durations.json"
    durations.write_text('{"spin": 3, "fetch": 1}')
    options = ("simulate", "-", "-f", FUNCTIONS, "--durations", str(durations), "-p", "1", "--json")
    (run,) = json.loads(program(*options, stdin=REPEATING).stdout)["runs"]
    assert run == {"processors": 1, "makespan": 4.0, "lower_bound": 4.0}
    (run,) = json.loads(program(*options, "--no-optimize", stdin=REPEATING).stdout)["runs"]
    assert run == {"processors": 1, "makespan": 7.0, "lower_bound": 6.0}


FILMS = 's1 = film(name="a")\ns2 = film(name="b")\ns3 = fetch(name="{s1} {s2}")\n'


def test_what_a_call_takes_is_shown_and_has_to_be_there(program) -> None:
    options = ("-", "-f", FUNCTIONS, "-p", "2", "--resource", "camera=1", "--json", "-q")
    data = json.loads(llmorch("execute", *options, stdin=FILMS).stdout)
    first, second, third = data["calls"]
    assert (first["processors"], first["resources"]) == ([0, 1], {"camera": 1, "cpu": 2})
    assert second["dispatched"] >= first["completed"]
    assert (third["processors"], third["resources"]) == ([], {})

    refused = program("execute", "-", "-f", FUNCTIONS, "-p", "2", stdin=FILMS)
    assert refused.returncode == 1
    assert "film can't be called here: it needs 1 of camera, and there is none" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_graph_shows_what_calls_take(program) -> None:
    done = program("graph", "-", "-f", FUNCTIONS, "--format", "json", stdin=FILMS)
    assert [call["resources"] for call in json.loads(done.stdout)["calls"]] == [
        {"camera": 1, "cpu": 2},
        {"camera": 1, "cpu": 2},
        {},
    ]
    assert "takes 1 of camera, 2 processors" in program("graph", "-", "-f", FUNCTIONS, stdin=FILMS).stdout


def test_simulate_takes_what_there_is_into_account_and_leaves_out_too_few_processors(
    tmp_path, program
) -> None:
    durations = tmp_path / "durations.json"
    durations.write_text('{"film": 2, "fetch": 1}')
    options = ("simulate", "-", "-f", FUNCTIONS, "--durations", str(durations))
    done = program(*options, "--resource", "camera=1", "-p", "1,4", "--json", stdin=FILMS)
    assert json.loads(done.stdout)["runs"] == [{"processors": 4, "makespan": 5.0, "lower_bound": 4.0}]
    assert "left out: 1 processors; it needs 2 processors, and there is 1 processor" in done.stderr
    two = program(*options, "--resource", "camera=2", "-p", "4", "--json", stdin=FILMS)
    assert json.loads(two.stdout)["runs"][0]["makespan"] == 3.0
    none = program(*options, "-p", "4", stdin=FILMS)
    assert (none.returncode, none.stdout) == (1, "")
    assert "it needs 1 of camera, and there is none" in none.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [("camera", "is not NAME=AMOUNT"), ("camera=x", "neither a whole number"), ("cpu=2", "processors= says")],
)
def test_a_resource_that_cant_be_is_a_usage_error(said: str, told: str, program) -> None:
    done = program("execute", "-", "-f", FUNCTIONS, "--resource", said, stdin=FILMS)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("to", "says"),
    [("none/t.json", "there is no folder"), ("", "is a folder"), ("a file/t.json", "there is no folder")],
)
@pytest.mark.parametrize("command", [["execute"], ["run", "--model", "local:none"]])
def test_a_trace_that_can_not_be_written_is_a_usage_error_before_anything_is_called(
    command: list[str], to: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    plan = tmp_path / "plan.txt"
    plan.write_text('s1 = fetch(name="a")')
    done = llmorch(*command, str(plan), "-f", FUNCTIONS, "--save-trace", str(tmp_path / to))
    assert (done.returncode, done.stdout) == (2, "")
    assert "fetching" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert says in line


def test_a_plan_has_a_deadline(tmp_path: Path) -> None:
    done = llmorch(
        "execute", "-", "-f", FUNCTIONS, "--deadline", "0.5", stdin='s1 = fetch(name="a", seconds=60)'
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: the run took longer than its deadline of 0.5 s" in done.stderr


@pytest.mark.parametrize("command", ["graph", "execute"])
def test_a_saved_run_is_no_plan_and_says_where_the_plan_is(command: str, program) -> None:
    done = program(command, "-", stdin=json.dumps({"version": 1, "plan": PLAN}))
    assert (done.returncode, done.stdout) == (2, "")
    assert 'is what --json printed: write the text of its "plan" to a file' in done.stderr


def test_simulate_says_how_long_any_number_of_processors_would_take(tmp_path, program) -> None:
    durations = tmp_path / "durations.json"
    durations.write_text('{"stereo": 35, "s9": 0}')
    done = program("simulate", "-", "--durations", str(durations), "-p", "1,3,4,8", "--json", stdin=KITTI)
    assert json.loads(done.stdout) == {
        "runs": [
            {"processors": 1, "makespan": 280.0, "lower_bound": 280.0},
            {"processors": 3, "makespan": 105.0, "lower_bound": 280 / 3},
            {"processors": 4, "makespan": 70.0, "lower_bound": 70.0},
            {"processors": 8, "makespan": 35.0, "lower_bound": 35.0},
        ]
    }
    table = program("simulate", "-", "--durations", str(durations), "-p", "4", stdin=KITTI).stdout
    assert "4   70.00 s      70.00 s" in table


def test_models_says_what_there_is_and_whether_it_is_here(tmp_path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    rows = json.loads(llmorch("models", "--json", env=environment).stdout)["models"]
    local = next(row for row in rows if row["name"] == "local")
    assert (local["bytes"], local["present"]) == (1_117_320_768, False)
    assert "Qwen2.5-Coder-1.5B-Instruct" in local["from"]
    assert "1,117 MB" in llmorch("models", env=environment).stdout


def processes_of(program: subprocess.Popen[str], count: int) -> list[psutil.Process]:
    """All that a program has started, once there are so many: for each processor one, and what keeps it."""
    until = time.monotonic() + 30
    while len(started := psutil.Process(program.pid).children(recursive=True)) < count:
        assert time.monotonic() < until
        time.sleep(0.05)
    return started


@pytest.mark.parametrize("count", [0, 4])
def test_an_interrupt_stops_everything_soon(count: int) -> None:
    plan = 's1 = fetch(name="a")\ns2 = spin(seconds=60)\ns3 = spin(seconds=60)\n'
    command = [sys.executable, "-m", "llmorch", "execute", "-", "-f", FUNCTIONS, "-p", "2", "--no-optimize"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write(plan)
    process.stdin.close()
    awaited = {"s3 = spin", "completed: s1"}
    while awaited:
        line = process.stderr.readline()
        awaited = {part for part in awaited if part not in line}
    workers = processes_of(process, count)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 130
    assert time.monotonic() - began < 20  # a second, where nothing else runs; the calls take a minute
    assert "interrupted; completed: s1; stopped: s2, s3" in told
    assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)


def test_an_interrupt_does_not_wait_for_a_function_that_ignores_it() -> None:
    command = [sys.executable, "-m", "llmorch", "execute", "-", "-f", FUNCTIONS, "-p", "2", "--no-optimize"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write("s1 = spin(seconds=60)\ns2 = stubborn(seconds=60)\n")
    process.stdin.close()
    while "s2" not in process.stderr.readline():
        pass
    workers = processes_of(process, 2)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 130
    assert time.monotonic() - began < 20
    assert "interrupted; stopped: s1, s2" in told
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_a_killed_run_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "llmorch", "execute", "-", "-f", FUNCTIONS, "-p", "2", "--no-optimize"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write("s1 = spin(seconds=60)\ns2 = spin(seconds=60)\n")
    process.stdin.close()
    while "s2" not in process.stderr.readline():
        pass
    workers = processes_of(process, 4)
    process.kill()
    process.stderr.close()
    process.wait(20)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_on_a_terminal_progress_is_drawn_and_then_gone(plan_file) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "llmorch", "execute", plan_file, "-f", FUNCTIONS]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=follower, env=os.environ | {"TERM": "xterm"}
    )
    os.close(follower)
    drawn = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        drawn += piece
    os.close(leader)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, b"<<a> 0.1 0.2>\n")
    assert "✓".encode() in drawn
    assert b"processor 1" in drawn
    assert b"\x1b[2K" in drawn
