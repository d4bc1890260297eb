"""A plan against its functions: names, arguments, and the types of literals.

What is a literal is checked here, before anything runs; what comes from another call is
checked when it arrives, by ``Parameter.accept``.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from llmorch.arguments import functions_by_name, refuse
from llmorch.calls import Constant, DictOf, ListOf, Plan, Template
from llmorch.errors import InvalidArgument, NeedsTooMuch, UnknownFunction, UntrustedArgument
from llmorch.plan.origins import Origins, untrusted_argument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.calls import Expression, FunctionCall, Position
    from llmorch.declare.functions import Function
    from llmorch.declare.parameters import Parameter
    from llmorch.errors import PlanError

_ABOUT_KEYS = ("missing", "extra_forbidden")
"""Errors of a dictionary that say nothing of its values."""


def check(plan: Plan, functions: Mapping[str, Function]) -> Plan:
    """The plan with every argument under its parameter's name.

    Raises ``PlanError`` for the first call that its function can't take.
    """
    if not isinstance(plan, Plan):
        refuse("plan", "a Plan", plan)
    checker = Checker(functions_by_name("functions", functions))
    return Plan(tuple(checker.check(call) for call in plan))


def check_fits(call: FunctionCall, function: Function) -> None:
    """Raise ``NeedsTooMuch`` for a call of a function that needs more than there is."""
    if function.shortage:
        raise error_in(
            call,
            f"{function.name} can't be called here: {function.shortage}",
            "use another function; what there is, Orchestrator(resources={...}) or --resource NAME=AMOUNT says",
            NeedsTooMuch,
        )


class Checker:
    """Checks calls one by one, as they are read, below those that are ``above``, which were checked already."""

    def __init__(self, functions: Mapping[str, Function], above: Iterable[FunctionCall] = ()) -> None:
        self._functions = functions
        self._origins = Origins()
        self._labelled = any(item.untrusted for item in functions.values())
        """Whether anything can come from outside."""
        for call in above if self._labelled else ():
            self._origins.take(call, untrusted=bool(functions[call.function].untrusted))

    def check(self, call: FunctionCall) -> FunctionCall:
        """The call with its positional arguments named. Raises ``PlanError``."""
        function = self._functions.get(call.function)
        if function is None:
            raise self._unknown(call)
        check_fits(call, function)
        call = self._named(call, function)
        for name, argument in call.args.items():
            if name not in function.by_name:
                hint = _suggest(name, function.by_name, f"it is {function.signature}")
                raise error_in(call, f"{function.name} has no parameter {name}", hint, argument=name)
            self._check_type(call, function, name, argument)
        if missing := [name for name in function.required if name not in call.args]:
            raise error_in(
                call, f"{function.name} needs its argument {missing[0]}", f"it is {function.signature}"
            )
        if self._labelled:
            self._check_origins(call, function)
        return call

    def _check_origins(self, call: FunctionCall, function: Function) -> None:
        if found := untrusted_argument(call, function, self._origins):
            name, path = found
            raise error_in(
                call,
                f"{name} of {function.name} may not come from outside, and does: {path}",
                f"write {name} as the query gives it, or use a result that doesn't come from outside",
                UntrustedArgument,
                argument=name,
            )
        self._origins.take(call, untrusted=bool(function.untrusted))

    def _unknown(self, call: FunctionCall) -> PlanError:
        offered = f"functions offered: {', '.join(sorted(self._functions))}"
        hint = _suggest(call.function, self._functions, offered)
        return error_in(call, f"there is no function {call.function}", hint, UnknownFunction)

    def _named(self, call: FunctionCall, function: Function) -> FunctionCall:
        if not call.positional:
            return call
        names = [parameter.name for parameter in function.parameters]
        if len(call.positional) > len(names):
            many = f"{function.name} takes {len(names)} arguments, not {len(call.positional)}"
            raise error_in(call, many, f"it is {function.signature}", argument=len(names))
        given = dict(zip(names, call.positional, strict=False))
        if twice := [name for name in given if name in call.args]:
            again = f"keyword argument repeated: {twice[0]} is given by its place already"
            raise error_in(call, again, "name every argument once", argument=twice[0])
        positions: dict[str | int, Position] = {
            names[at] if isinstance(at, int) else at: position for at, position in call.positions.items()
        }
        return replace(call, args=given | dict(call.args), positional=(), positions=positions)

    def _check_type(self, call: FunctionCall, function: Function, name: str, argument: Expression) -> None:
        parameter = function.by_name[name]
        what = f"{name} of {function.name}"
        if isinstance(argument, Template):
            text = any(isinstance(part, str) for part in argument.parts)
            wrong = f"{what} is a number, not text around a result" if text and parameter.is_number else ""
        else:
            reason = _mismatch(parameter, argument)
            wrong = f"{what}: {reason}" if reason else ""
        if wrong:
            raise error_in(call, wrong, f"it is {function.signature}", argument=name)


def _mismatch(parameter: Parameter, argument: Expression) -> str | None:
    """What is wrong with an argument, or with the literals in a list or dictionary that holds results as well."""
    if _is_literal(argument):
        try:
            parameter.check(_literal(argument))
        except ValueError as error:
            return str(error)
    if _is_literal(argument) or not isinstance(argument, ListOf | DictOf):
        return None
    if parameter.is_number:
        return f"a {'list' if isinstance(argument, ListOf) else 'dictionary'} is no number"
    values: dict[int, dict[Expression, Expression]] = {}
    for path, kind, reason in parameter.mismatches(_literal(argument)):
        # An error at a result says nothing: its value isn't known. Nor does one whose path
        # leads nowhere in the argument, such as the branch of a union.
        node = _at(argument, path[:-1] if kind in _ABOUT_KEYS else path, values)
        if isinstance(node, DictOf) if kind in _ABOUT_KEYS else node is not None and _is_literal(node):
            return reason
    return None


def _at(
    expression: Expression, path: Sequence[int | str], values: dict[int, dict[Expression, Expression]]
) -> Expression | None:
    """What stands at a path; ``values`` keeps those of each dictionary by their keys, for the next one."""
    for part in path:
        match expression:
            case ListOf(items) if isinstance(part, int) and part < len(items):
                expression = items[part]
            case DictOf(pairs):
                by_key = values.setdefault(id(expression), {})
                if not by_key:
                    by_key.update(pairs)
                found = by_key.get(Constant(part))
                if found is None:
                    return None
                expression = found
            case _:
                return None
    return expression


def _is_literal(expression: Expression) -> bool:
    """Whether there is no reference in it, so that its value is known."""
    match expression:
        case ListOf(items):
            return all(map(_is_literal, items))
        case DictOf(pairs):
            return all(isinstance(key, Constant) and _is_literal(value) for key, value in pairs)
    return isinstance(expression, Constant)


def _literal(expression: Expression) -> Any:
    """The value, in which ``None`` stands for what comes from another call."""
    match expression:
        case Constant(value):
            return value
        case ListOf(items):
            return [_literal(item) for item in items]
        case DictOf(pairs) if all(isinstance(key, Constant) for key, _ in pairs):
            return {_literal(key): _literal(value) for key, value in pairs}
    return None


def _suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}? {otherwise}" if close else otherwise


def error_in(
    call: FunctionCall,
    message: str,
    hint: str,
    kind: type[PlanError] = InvalidArgument,
    *,
    argument: str | int | None = None,
) -> PlanError:
    """An error at one argument of a call, or at the call itself."""
    line, column = call.position if argument is None else call.positions.get(argument, call.position)
    lines = call.text.split("\n")
    first = call.position[0]
    # A statement's text begins on its own first line, which its id stands on.
    text = lines[line - first] if 0 <= line - first < len(lines) else lines[0]
    return kind(message, line=line, column=column, text=text, hint=hint)
