"""Programs that fork after their first run: a child shares nothing with its parent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")

PROGRAM = """
import asyncio, os, sys, threading
from llmorch.calls import Constant, FunctionCall
from llmorch.declare.functions import declaration_of
from llmorch.places.local import Local
from llmorch.places.port import Job

def square(n):
    return n * n

FUNCTIONS = [(declaration_of(square, kind="compute"), (0,)), (declaration_of(square), ())]
FUNCTIONS.append((declaration_of(square, timeout=20), ()))
local = Local(1)

async def made(n):
    loop = asyncio.get_running_loop()
    for function, processors in FUNCTIONS:
        told = loop.create_future()
        call = FunctionCall("s1", "square", {"n": Constant(n)})
        local.begin(Job(function, (call,), {}, processors), told.set_result)
        (end,) = await asyncio.wait_for(told, 30)
        assert end.error is None, end.error
        assert end.value.open() == n * n, (n, end.value)

asyncio.run(made(1))
"""

FORKED = """
parent, over = os.getpid(), False

def busy():
    n = 0
    while not over:
        n += 1
        asyncio.run(made(-n))

thread = threading.Thread(target=busy)
thread.start()
for n in range(2, 14):
    if not (child := os.fork()):
        asyncio.run(made(n))
        if n % 3 == 0:
            asyncio.run(local.close())
        if n % 3 == 1:
            del local
        sys.exit(0)  # with what is to be done at the end of a program
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(made(n))
over = True
thread.join()
asyncio.run(local.close())
print("right")
"""

POOLED = """
from multiprocessing import get_context

def in_child(n):
    asyncio.run(made(n))
    return n

for _ in range(2):
    with get_context("fork").Pool(2) as pool:
        assert pool.map(in_child, range(6), chunksize=1) == list(range(6))
asyncio.run(made(3))
print("right")
"""

ORPHANED = """
asyncio.run(made(2))
if os.fork():
    os._exit(0)  # the parent's processes end with it, although its child lives on
import time
until = time.monotonic() + 10
while (left := [one for one in os.listdir("/proc") if one.isdecimal() and one != str(os.getpid()) and ours(one)]):
    assert time.monotonic() < until, left
    time.sleep(0.02)
asyncio.run(made(3))
asyncio.run(local.close())
print("right")
"""
OURS = """
def ours(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"LLMORCH_TEST=MARK" in file.read()
    except OSError:
        return False
"""


def outcome(program: str, **environment: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + program],
        timeout=100,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_children_that_end_as_programs_do_leave_their_parents_processes_alone() -> None:
    assert outcome(FORKED) == (0, "right\n", "")


def test_children_of_a_pool_that_forks_have_their_own_processes() -> None:
    assert outcome(POOLED) == (0, "right\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_child_that_outlives_its_parent_keeps_none_of_its_processes_alive() -> None:
    mark = f"forked-{id(object())}"
    program = OURS.replace("MARK", mark) + ORPHANED
    assert outcome(program, LLMORCH_TEST=mark) == (0, "right\n", "")
