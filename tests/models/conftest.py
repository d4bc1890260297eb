"""What the tests of models share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.models.loopback import Loopback, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    # A proxy that the loopback must not be asked through.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving() as endpoint:
        yield endpoint
