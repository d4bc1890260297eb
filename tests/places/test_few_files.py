"""Where no more files can be opened: single calls fail, in one line that says so, and nothing is left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what is open")

PROGRAM = """
import asyncio, gc, json, os, resource, sys, threading
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel
from tests.places import sample

async def main():
    slowly = function(timeout=20)(sample.slowly)
    megabytes, length = function(kind="compute")(sample.megabytes), function(kind="compute")(sample.length)
    plan = "\\n".join(
        [f"a{i} = slowly(x={i})" for i in range(20)]
        + [f"c{i} = megabytes(x={i})\\nd{i} = length(data=c{i}, more=[c{i}])" for i in range(20)]
    )
    ended = []
    before = len(os.listdir("/proc/self/fd"))
    async with Orchestrator(
        [slowly, megabytes, length], processors=2, model=ScriptedModel([]), learn=False, optimize=False
    ) as orchestrator:
        for _ in range(2):
            try:
                result = await orchestrator.execute(plan)
            except Exception as error:
                result = error.result
            ended.append([(call.function, call.status, call.error) for call in result.calls])
            del result
    gc.collect()
    print(json.dumps([ended, len(os.listdir("/proc/self/fd")) - before]))

asyncio.run(main())
"""


@linux
@pytest.mark.parametrize("files", [40, 64])
def test_calls_fail_that_find_no_file_to_open_and_the_others_complete(files: int) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(files)], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stderr == ""
    runs, left = json.loads(found.stdout)
    assert left <= 1  # the event loop's own
    for calls in runs:
        assert {status for _, status, _ in calls} <= {"completed", "failed", "skipped"}
        assert any(status == "completed" for _, status, _ in calls)
        for name, status, error in calls:
            if status == "failed":
                assert error.startswith(name)
                assert "oo many open files" in error
                assert "\n" not in error
