"""What every test shares."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from llmorch.machine import cache_folder
from llmorch.models.weights import CATALOGUE, present
from llmorch.schedule import Command, Core, Event, Orchestration
from llmorch.schedule.verify import verify
from llmorch.testing import VirtualLoop
from tests.marked_keys import MarkedKeys

# The machines that run this are shared, so that no example is late by its own fault. A hundred examples
# of each property in every run; for a thousand: pytest --hypothesis-profile=thorough tests/schedule
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("shared"), max_examples=1_000)
settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests a cache folder of their own, in which there is nothing but the user's models."""
    real = cache_folder()
    # No TemporaryDirectory: a forked process that ends would remove it under this one.
    folder = tempfile.mkdtemp(prefix="llmorch-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    own = Path(folder) / "llmorch"
    own.mkdir()
    for name in ("models", "slots"):
        if (real / name).is_dir():
            (own / name).symlink_to(real / name)
    os.environ["XDG_CACHE_HOME"] = folder
    keys = MarkedKeys(lambda: [own, *_left_by(config)])
    keys.begin()
    config.pluginmanager.register(keys, "marked keys")


def _left_by(config: pytest.Config) -> list[Path]:
    """The folder of all that this run's tests wrote to their ``tmp_path``, if any did."""
    folder = config._tmp_path_factory._basetemp  # type: ignore[attr-defined]
    return [folder] if folder is not None else []


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without weights a test of the real model is skipped: it fetches none by itself."""
    if item.get_closest_marker("local") is not None and not present(CATALOGUE["local"]):
        pytest.skip("the weights are not on this machine: llmorch models --fetch local")


@pytest.fixture(autouse=True)
def _nothing_is_learned() -> None:
    """Each test begins as if no call had ever been made."""
    (cache_folder() / "learned.json").unlink(missing_ok=True)


VERIFIED = 80
"""Calls of the largest plan that is verified after every event: that takes longer the more there are."""


@pytest.fixture(autouse=True)
def _the_core_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """After every event that any test puts to a core, wherever it runs."""
    handle = Core.handle

    def verified(
        core: Core, run: Orchestration, event: Event, *, at: float
    ) -> list[tuple[Orchestration, list[Command]]]:
        told = handle(core, run, event, at=at)
        if sum(len(one.states) for one in core.runs) <= VERIFIED:
            verify(core)
        return told

    monkeypatch.setattr(Core, "handle", verified)


@pytest.fixture(scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """The driver is asyncio's; so are its tests. A module with ``VIRTUAL = True`` waits in no real time."""
    virtual = getattr(request.module, "VIRTUAL", False)
    return "asyncio", {"loop_factory": VirtualLoop} if virtual else {}
