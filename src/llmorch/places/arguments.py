"""What a call is given: its argument expressions as values in the types of its parameters.

Decides which of them are worked out here, and which in the process that is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmorch.calls import DictOf, ListOf, Reference, Template, references
from llmorch.declare.text import described, interrupted
from llmorch.errors import CallError, EvaluationError
from llmorch.places.failure import line_of
from llmorch.places.handles import Later, Unopened
from llmorch.plan.budget import Budget, Uncounted
from llmorch.plan.evaluate import argument, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmorch.calls import CallId, Expression, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.declare.parameters import Parameter
    from llmorch.places.port import Handle


class Inputs(Mapping["CallId", Any]):
    """The values behind handles, by call id. Reading one opens it.

    Raises ``EvaluationError`` if that can't be done; where others wait, and not ``apart``, it is ``Uncounted``
    for what has to be opened first.
    """

    __slots__ = ("_apart", "_handles")

    def __init__(self, handles: Mapping[CallId, Handle], *, apart: bool = True) -> None:
        self._handles = handles
        self._apart = apart

    def __getitem__(self, call: CallId) -> Any:
        handle = self._handles[call]
        if not self._apart and not handle.here:
            raise Uncounted(f"the result of {call} is opened first")
        try:
            return handle.open()
        except CallError as error:
            raise EvaluationError(str(error)) from None

    def __contains__(self, call: object) -> bool:
        return call in self._handles

    def __iter__(self) -> Iterator[CallId]:
        return iter(self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    def closed(self, call: CallId) -> Unopened | None:
        """A result that nobody here has opened."""
        handle = self._handles.get(call)
        return handle if isinstance(handle, Unopened) and not handle.here else None

    def unopened(self, call: CallId) -> Any:
        """A result as it is: unopened, or its value."""
        return self.closed(call) or self[call]


def arguments(
    call: FunctionCall,
    function: Function,
    results: Inputs,
    budget: Budget | None = None,
    *,
    handed: bool = False,
    computed: bool = True,
) -> dict[str, Any]:
    """The values of a call's arguments, by name, from the results of earlier calls.

    With ``handed`` the call is made in another process, and what is made of results that are closed is
    a ``Later``, unless it has to be ``computed`` and can't be there.

    Raises ``CallError`` for an argument that has no value or doesn't fit, and ``Uncounted``.
    """
    if budget is None:
        budget = Budget(apart=True)
    elsewhere = Budget(apart=True) if handed else budget
    args = {}
    for name, expression in call.args.items():
        parameter = function.by_name[name]
        try:
            later = _later(parameter, expression, results, budget, elsewhere) if handed else None
            if later is not None and (computed or later.as_it_is):
                args[name] = later
            else:
                args[name] = argument(parameter, expression, results, budget)
        except Uncounted:
            raise
        except (EvaluationError, ValueError) as error:
            raise CallError(f"{name} of {function.name}: {error}") from None
        except BaseException as error:  # a value's class may raise anything
            if interrupted(error):
                raise
            raise CallError(f"{name} of {function.name}: {described(error)}") from None
    if handed:
        elsewhere.charge(budget.used)
    for parameter in function.filled:
        if parameter.name not in args:
            args[parameter.name] = _made(parameter, function)
    return args


def _made(parameter: Parameter, function: Function) -> Any:
    """The default that a ``Field`` gives, made anew for each call."""
    try:
        return parameter.made()
    except Exception as error:  # it is the user's
        text = f"{parameter.name} of {function.name}: its default can't be made: {line_of(error)}"
        raise CallError(text) from None


def _is_closed(expression: Expression, results: Inputs) -> bool:
    return any(results.closed(reference.id) is not None for reference in references(expression))


def _later(
    parameter: Parameter, expression: Expression, results: Inputs, budget: Budget, elsewhere: Budget
) -> Later | None:
    if not _is_closed(expression, results):
        return None
    used = {reference.id: results.unopened(reference.id) for reference in references(expression)}
    kinds = _kinds(expression, results)
    if kinds is None or not parameter.takes(kinds):
        return Later(parameter.bare, expression, used, elsewhere, as_it_is=False)
    put = evaluate(expression, used, budget)  # what other results come to in it is worked out here
    return Later(parameter.bare, expression, used, elsewhere, as_it_is=True, put=put)


def _kinds(expression: Expression, results: Inputs) -> Sequence[str] | None:
    """The classes of an argument that only puts closed results together; ``None`` for any other."""
    match expression:
        case Reference(id_):
            handle = results.closed(id_)
            return None if handle is None else handle.kinds
        case Template((part,)) if not isinstance(part, str):
            return _kinds(part, results)
        case ListOf(items) if all(_is_put(item, results) for item in items):
            return ("builtins.list",)
        case DictOf(pairs) if all(
            not _is_closed(key, results) and _is_put(item, results) for key, item in pairs
        ):
            return ("builtins.dict",)
    return None


def _is_put(item: Expression, results: Inputs) -> bool:
    return not _is_closed(item, results) or _kinds(item, results) is not None
