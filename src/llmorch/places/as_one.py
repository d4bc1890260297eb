"""The calls of a job as one call: what the function is given, and what each of the calls came to.

Several calls are one of their batch form.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import interrupted, is_a, kind_name
from llmorch.errors import CallError
from llmorch.places.arguments import Inputs, arguments
from llmorch.places.failure import Raised, line_of, raised
from llmorch.places.handles import Unopened
from llmorch.places.jobs import failure
from llmorch.places.port import End, Here
from llmorch.places.shown import Shown
from llmorch.plan.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.functions import Function
    from llmorch.places.port import Job


class AsOne:
    """What is to be called for a job: ``function`` with ``args``, or nothing where no call's arguments fit.

    The function is the batch form for several calls, and itself where one is left. With ``handed`` it is made in
    another process. Raises ``Uncounted`` unless ``apart``.
    """

    def __init__(self, job: Job, *, apart: bool = True, handed: bool = False) -> None:
        self.function = job.function
        self.args: Mapping[str, Any] = {}
        self._ends: list[End] = []
        self._fitting: list[int] = []
        fitting = []
        results = Inputs(job.inputs, apart=apart)
        for index, call in enumerate(job.calls):
            try:
                budget = Budget(apart=apart)
                fitting.append(arguments(call, job.function, results, budget, handed=handed, computed=False))
                self._fitting.append(index)
                self._ends.append(End())
            except CallError as error:
                self._ends.append(failure(error))
        self._alone = len(fitting) == 1
        self.is_empty = not fitting
        if self._alone:
            (self.args,) = fitting
        elif fitting:
            self.function = job.function.together
            self.args = {_form(job.function).parameter: [_filled(job.function, args) for args in fitting]}

    def ends(self, result: Any = None, error: CallError | None = None) -> list[End]:
        """What each call came to, given what the function returned, or the error of which it failed."""
        count = len(self._fitting)
        made: Sequence[End] | str = (
            [end(result)] if self._alone else [] if not count else _items(result, count)
        )
        if error is None and isinstance(made, str):
            name = getattr(_form(self.function).call, "__name__", "it")
            error = CallError(
                f"the batch form of {self.function.name}, {name}, returned {made}; "
                f"return a list of {count}: one result for each call, in their order"
            )
        if error is not None or isinstance(made, str):
            made = [end(None, error)] * count
        for index, one in zip(self._fitting, made, strict=True):
            self._ends[index] = one
        return self._ends


def _item(result: Any) -> End:
    """What one call of a batch came to."""
    if is_a(result, BaseException):  # gather has one for what was cancelled
        result = raised(result)
    return failure(error_of(result)) if type(result) is Raised else end(result)


def error_of(raised: Raised) -> CallError:
    """The failure of a call that raised this."""
    return CallError(raised.message, detail=raised.detail, kinds=raised.kinds)


def end(result: Any, error: CallError | None = None) -> End:
    """What a call came to."""
    if error is not None:
        return failure(error)
    if type(result) is Unopened:
        return End(result)
    return End(Here(*result) if type(result) is Shown else Here(result))


def _form(function: Function) -> Any:
    assert function.batch is not None
    return function.batch


def _filled(function: Function, args: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a call, where the function itself would fill in its defaults."""
    return {item.name: args.get(item.name, item.default) for item in function.parameters}


def _items(results: Any, count: int) -> list[End] | str:
    """What each call of a batch came to, or what is wrong with what was returned for so many."""
    try:
        wrong = _wrong(results, count)
        made = [] if wrong else [_item(item) for item in islice(results, count)]
        return wrong or (made if len(made) == count else _counted(len(made), count))
    except BaseException as error:  # a sequence of somebody's own
        if interrupted(error):
            raise
        return f"a {kind_name(results)} that can't be read: {line_of(error)}"


def _wrong(results: object, count: int) -> str:
    if not is_a(results, Sequence) or is_a(results, (str, bytes, bytearray)):
        kind = kind_name(results)
        return "nothing" if results is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
    found = len(results)  # type: ignore[arg-type]
    return "" if found == count else _counted(found, count)


def _counted(found: int, count: int) -> str:
    return f"{found} result{'' if found == 1 else 's'} for {count} calls"
