"""What models in tests reply to the requests of the contract."""

from __future__ import annotations

import re


def number_of(text: str) -> str:
    """The reply to a request with a number in it."""
    found = re.search("[0-9]+", text)
    assert found is not None
    return f's1 = said({found[0]}, "ä\n")'
