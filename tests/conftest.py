"""What every test shares."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from llmorch.machine import cache_folder
from llmorch.schedule import Command, Core, Event, Orchestration
from llmorch.schedule.verify import verify

# The machines that run this are shared, so that no example is late by its own fault.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests a cache folder of their own, in which there is nothing but the user's models."""
    real = cache_folder()
    folder = tempfile.TemporaryDirectory(prefix="llmorch-tests-")
    config.add_cleanup(folder.cleanup)
    own = Path(folder.name) / "llmorch"
    own.mkdir()
    for name in ("models", "slots"):
        if (real / name).is_dir():
            (own / name).symlink_to(real / name)
    os.environ["XDG_CACHE_HOME"] = folder.name


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


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The driver is asyncio's; so are its tests."""
    return "asyncio"
