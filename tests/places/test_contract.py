"""What the port promises, for the places of this machine."""

from __future__ import annotations

import pytest

from llmorch.places.local import Local

pytest.register_assert_rewrite("llmorch.testing.places")

from llmorch.testing.places import PlaceContract  # noqa: E402


class TestLocal(PlaceContract):
    def place(self) -> Local:
        return Local(2)
