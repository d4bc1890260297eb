"""What every test shares."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# The machines that run this are shared, so that no example is late by its own fault.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The driver is asyncio's; so are its tests."""
    return "asyncio"
