"""The error tree: one class for each party that must act on a failure.

``PlanError`` is mended by the model, ``CallError`` by recovery, ``WrongArgument`` by whoever
wrote the argument, of which a ``FunctionError`` tells of a function's declaration, ``ModelError`` by
whoever chose the model, ``PolicyError`` by whoever wrote the policy,
``UnresolvedQuery`` and ``LimitReached`` by the caller, and ``IllegalEvent`` by us.
"""

from __future__ import annotations

from errno import EAGAIN, EDQUOT, EFBIG, EMFILE, ENFILE, ENOMEM, ENOSPC
from typing import Any

MESSAGE = 2_000
"""The longest message of an error, in characters: what it quotes may be as long as anybody likes."""


def without_middle(text: str, limit: int) -> str:
    """A text of at most ``limit`` characters: its beginning and, past the gap, its end."""
    if len(text) <= limit:
        return text
    head = limit * 3 // 4
    return f"{text[:head]} ... {text[len(text) - (limit - head - 5) :]}"


def shortage(error: BaseException) -> str:
    """What the system had no more of, and what to do about it, in a line; empty for any other error."""
    what, advice = _SHORTAGES.get(_number(error), ("", ""))
    return f"{what}: {advice}" if what else ""


def remedy(error: BaseException) -> str:
    """What to do where files or threads ran out; empty for any other error. It is asked for nothing."""
    number = _number(error)
    return _SHORTAGES[number][1] if number in (EMFILE, ENFILE, EAGAIN) else ""


def _number(error: BaseException) -> int | None:
    """The system's number for an error; of Python's own, the one that it stands for."""
    kind = type(error)
    if issubclass(kind, OSError):
        number = OSError.__dict__["errno"].__get__(error)
        return number if type(number) is int else None
    if issubclass(kind, MemoryError):
        return ENOMEM
    args = BaseException.__dict__["args"].__get__(error)
    return EAGAIN if issubclass(kind, RuntimeError) and args == (_NO_THREAD,) else None


_NO_THREAD = "can't start new thread"
_SHORTAGES: dict[int | None, tuple[str, str]] = {
    EMFILE: ("too many open files", "raise ulimit -n, or limit calls at once with max_concurrency"),
    ENFILE: ("too many open files in the whole system", "close some, or raise fs.file-max"),
    EAGAIN: (
        _NO_THREAD,
        "raise ulimit -u or the container's limit of processes, or limit calls at once with max_concurrency",
    ),
    ENOMEM: ("out of memory", "free some, or raise its limit (ulimit -v, or a container's)"),
    ENOSPC: ("no space left on device", "free some"),
    EDQUOT: ("disk quota exceeded", "free some space, or raise the quota"),
    EFBIG: ("file too large", "raise ulimit -f"),
}


class LLMOrchError(Exception):
    """Every error that this package raises on purpose. A message is cut where it is longer than anybody reads."""

    def __init__(self, message: str = "") -> None:
        super().__init__(*([without_middle(message, MESSAGE)] if message else []))

    result: Any = None
    """The ``Result`` of the run that it ended, with all that had finished; ``None`` outside a run."""


class PlanError(LLMOrchError):
    """A plan that can't be run: where it is wrong, and what to do about it.

    ``str(error)`` is printed for users and pasted into the repair prompt, so it holds the
    position (1-based line and column; line 0 is no line), the line's text, a marker and a hint.
    """

    def __init__(
        self, message: str, *, line: int = 1, column: int = 1, text: str = "", hint: str = ""
    ) -> None:
        self.message = without_middle(message, MESSAGE // 2)
        super().__init__(self.message)
        self.line = line
        self.column = column
        self.text, self._column = _window(text, column, _LINE) if len(text) > _LINE else (text, column)
        self.hint = without_middle(hint, MESSAGE)

    def __str__(self) -> str:
        lines = [f"line {self.line}, column {self.column}: {self.message}" if self.line else self.message]
        if self.text:
            window, column = _window(self.text, self._column)
            lines += [f"    {window}", f"    {' ' * (column - 1)}^"]
        if self.hint:
            lines.append(self.hint)
        return "\n".join(lines)


_LINE = 2_000
"""The longest line that an error keeps; of a longer one it has what is around the column."""


def _window(text: str, column: int, width: int = 120) -> tuple[str, int]:
    """The part of a long line around ``column``, and the column within that part."""
    start = max(0, min(column - 1 - width // 2, len(text) - width))
    text = text[start : start + width]
    return "".join(" " if character in "\t\r\n" else character for character in text), column - start


class InvalidSyntax(PlanError):
    """A line that is not a statement of the plan language."""


class PlanTooLarge(PlanError):
    """A plan past one of the bounds on length, nesting or number of calls."""

    @classmethod
    def cut_off(cls, text: str, max_tokens: int) -> PlanTooLarge:
        """A plan that the model was not done with when its tokens were used up."""
        lines = text.split("\n")
        return cls(
            f"the plan was cut off after {max_tokens} tokens",
            line=len(lines),
            column=len(lines[-1]) + 1,
            text=lines[-1],
            hint="write a shorter plan, and nothing but the plan",
        )


class EmptyPlan(PlanError):
    """A text without a single call."""


class UndefinedId(PlanError):
    """A call uses the result of a call that the plan does not make before it."""


class DuplicateId(PlanError):
    """Two calls of one plan have the same id."""


class UnknownFunction(PlanError):
    """A call of a function that was not offered."""


class NeedsTooMuch(PlanError):
    """A call that takes more of something than there is, so that it could never run."""


class InvalidArgument(PlanError):
    """An argument that the function does not take, or a literal of the wrong type."""


class UntrustedArgument(PlanError):
    """An argument that has to be trusted comes from outside."""


class Influenced(PlanError):
    """A call with effects that a model wrote after it had read what came from outside."""


class UnusedResult(PlanError):
    """A call whose result no later call uses, and which is not the answer."""


class EvaluationError(LLMOrchError):
    """An argument expression that has no value, such as a division by zero."""


class CallError(LLMOrchError):
    """A function call that failed: its message names the reason in one line."""

    def __init__(self, message: str, *, detail: str = "", kinds: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.detail = detail
        """The function's own traceback as text, where there is one."""
        self.kinds = kinds
        """What the function raised: the qualified names of the exception's class and those above it.

        Empty where the call failed before or after the function itself, as by its arguments.
        """


class Unanswered(CallError):
    """A call that asks a model whose server isn't reached: another call in its place would fail as well."""


class WrongArgument(LLMOrchError, ValueError):
    """An argument of this package's own functions that can't be: it is refused before anything begins."""


class PolicyError(LLMOrchError):
    """A policy of somebody's own that raised, or broke another of its promises: it ends the run that it is of."""


class FunctionError(WrongArgument):
    """A function, or a file of functions, that can't be offered."""


class ModelError(LLMOrchError):
    """A model that failed, refused, or could not be reached."""


class UnknownModel(ModelError, WrongArgument):
    """What is said to be a model, and is none."""


class ToolsRefused(ModelError):
    """A model that takes no native tool calls, which shows only when it is offered some."""


class ModelUnreachable(ModelError):
    """A model's server that isn't reached, doesn't serve, or breaks off: to ask it otherwise is no help."""


class ReplyBroken(ModelUnreachable):
    """A reply that broke off on its way: the same question may be asked again."""


class UnresolvedQuery(LLMOrchError):
    """A query for which no plan could be made; says what was tried."""


class LimitReached(LLMOrchError):
    """A run that came to the limit of time or tokens that its caller had set."""


class IllegalEvent(LLMOrchError):
    """An event that the state of the core rules out: a defect here, not the user's."""
