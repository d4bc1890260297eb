"""What the tests of runs share."""

from __future__ import annotations

import pytest

from tests.runtime.counted import MADE


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()
