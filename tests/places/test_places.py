"""Calls of several processors and with a GPU: which process they get, and what it finds there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from llmorch import Orchestrator, function
from llmorch.machine import gpus
from llmorch.testing import ScriptedModel

pytestmark = pytest.mark.anyio
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do this")

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@function(kind="compute")
def one(x: int = 0) -> dict[str, Any]:
    return _found()


@function(resources={"cpu": 2})
def two(x: int = 0) -> dict[str, Any]:
    return _found()


@function(resources={"gpu_memory": "6GiB"})
def on_gpu(x: int = 0) -> dict[str, Any]:
    return _found()


@function(kind="compute")
def threads_of_one() -> int:
    return _threads()


@function(resources={"cpu": 2})
def threads_of_two() -> int:
    return _threads()


def _found() -> dict[str, Any]:
    return {
        "threads": [os.environ.get(name) for name in NAMES],
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "cpus": sorted(os.sched_getaffinity(0)),
        "pid": os.getpid(),
    }


def _threads() -> int:
    import numpy

    square = numpy.ones((600, 600))
    assert (square @ square)[0, 0] == 600
    return len(list(Path("/proc/self/task").iterdir()))


def offering(*functions, processors: int = 2, **settings) -> Orchestrator:
    return Orchestrator(functions, model=ScriptedModel([]), processors=processors, optimize=False, **settings)


@linux
async def test_a_call_of_two_processors_has_two_threads_and_runs_on_both() -> None:
    async with offering(one, two) as orchestrator:
        result = await orchestrator.execute("s1 = one()\ns2 = two()\ns3 = one(x=1)\ns4 = two(x=1)")
    narrow, wide = result.calls["s1"].result, result.calls["s2"].result
    allowed = sorted(os.sched_getaffinity(0))
    assert narrow["threads"] == ["1"] * 3
    assert len(narrow["cpus"]) == 1
    assert wide["threads"] == ["2"] * 3
    assert wide["cpus"] == sorted({allowed[0], allowed[1 % len(allowed)]})
    assert result.calls["s2"].processors == (0, 1)
    assert result.calls["s4"].result["pid"] == wide["pid"] != narrow["pid"]


@linux
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one CPU")
async def test_libraries_have_as_many_threads_as_the_call_has_processors() -> None:
    async with offering(threads_of_one, threads_of_two) as orchestrator:
        result = await orchestrator.execute("s1 = threads_of_one()\ns2 = threads_of_two()")
    assert [call.result for call in result.calls] == [1, 2]


async def test_a_call_gets_the_gpu_it_was_given_and_others_see_what_they_saw(monkeypatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    async with offering(one, on_gpu, resources={"gpu_memory": ["8GiB", "8GiB"]}) as orchestrator:
        result = await orchestrator.execute("s1 = on_gpu()\ns2 = on_gpu(x=1)\ns3 = one()")
    assert [call.result["gpu"] for call in result.calls] == ["0", "1", None]
    assert [call.device for call in result.calls] == [0, 1, None]


@pytest.fixture
def driver(tmp_path, monkeypatch) -> None:
    """A driver's tool that tells of three GPUs, one without a memory of its own."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\necho '0, GPU-aaaa-1, 24576'\necho '1, GPU-bbbb-2, 8192'\necho '2, GPU-cccc-3, [N/A]'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("1,0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        ("GPU-bbbb", ["GPU-bbbb-2"]),
        ("0,7,1", ["GPU-aaaa-1"]),
        ("", []),
    ],
)
def test_the_driver_tells_which_gpus_there_are(driver, monkeypatch, visible, found) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name for gpu in gpus()] == found


def test_without_a_driver_there_are_none(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == ()


async def test_a_gpu_that_the_driver_tells_of_is_given_by_its_own_name(driver) -> None:
    async with offering(on_gpu) as orchestrator:
        result = await orchestrator.execute("s1 = on_gpu()")
    assert result.answer["gpu"] == "GPU-bbbb-2"  # the fullest with room
