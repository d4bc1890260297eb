"""Several calls made as one: what their batch form is given, and what of its result is each call's.

It must not know why calls go together, nor where they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from llmorch.errors import CallError
from llmorch.places.arguments import arguments
from llmorch.places.failure import Raised, raised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function

    Outcome: TypeAlias = tuple[Any, CallError | None]


class Batch:
    """Calls of a function that go together, of which some may fail before: their arguments don't fit.

    ``function`` is the one to call, with ``args``: the batch form, or the function itself where one
    call is left. Without any there is nothing to call.
    """

    def __init__(
        self, function: Function, calls: Sequence[FunctionCall], results: Mapping[CallId, Any]
    ) -> None:
        self.function = function
        self.args: Mapping[str, Any] = {}
        self._outcomes: list[Outcome] = []
        self._fitting: list[int] = []
        fitting = []
        for place, call in enumerate(calls):
            try:
                fitting.append(arguments(call, function, results))
            except CallError as error:
                self._outcomes.append((None, error))
            else:
                self._outcomes.append((None, None))
                self._fitting.append(place)
        self._alone = len(fitting) == 1
        self.is_empty = not fitting
        if self._alone:
            (self.args,) = fitting
        elif fitting:
            self.function = function.together
            self.args = {_form(function).parameter: [_filled(function, args) for args in fitting]}

    def outcomes(self, result: Any, error: CallError | None) -> list[Outcome]:
        """What each call came to, given what the function that was called did."""
        count = len(self._fitting)
        if error is None and not self._alone and (wrong := _wrong(result, count)):
            name = getattr(_form(self.function).call, "__name__", "it")
            error = CallError(
                f"the batch form of {self.function.name}, {name}, returned {wrong}; "
                f"return a list of {count}: one result for each call, in their order"
            )
        if error is not None:
            made: Sequence[Outcome] = [(None, error)] * count
        else:
            made = [(result, None)] if self._alone else [_outcome(item) for item in result]
        for place, outcome in zip(self._fitting, made, strict=True):
            self._outcomes[place] = outcome
        return self._outcomes


def _form(function: Function) -> Any:
    assert function.batch is not None
    return function.batch


def _filled(function: Function, args: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a call, where the function itself would fill in its defaults."""
    return {item.name: args.get(item.name, item.default) for item in function.parameters}


def _wrong(results: object, count: int) -> str:
    if not isinstance(results, Sequence) or isinstance(results, str | bytes | bytearray):
        kind = type(results).__name__
        return "nothing" if results is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
    found = len(results)
    return "" if found == count else f"{found} result{'' if found == 1 else 's'} for {count} calls"


def _outcome(result: Any) -> Outcome:
    if isinstance(result, BaseException):  # gather has one for what was cancelled
        result = raised(result)
    if isinstance(result, Raised):
        return None, CallError(result.message, detail=result.detail, kinds=result.kinds)
    return result, None
