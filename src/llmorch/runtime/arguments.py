"""What a call is given, from results as the driver keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.places.arguments import arguments as worked_out
from llmorch.runtime.results import Results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function


def arguments(
    call: FunctionCall, function: Function, results: Mapping[CallId, Any], *, handed: bool = False
) -> dict[str, Any]:
    """As ``llmorch.places.arguments``; with ``handed`` the call is made in another process."""
    unopened = results if handed and isinstance(results, Results) else None
    return worked_out(call, function, results, handed=unopened)
