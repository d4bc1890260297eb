"""How a function's exception becomes text: one bounded line, its traceback, and its kinds.

The line has its message, its notes, the members of a group, and what it came of. Exceptions never
travel as objects, so one that can't be pickled, or whose ``__str__`` raises, is as good as any
other: it may override whatever is read of it here, and its causes may be many or lead back to it. It
must import quickly.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.declare.secrets import masked, names_secret
from llmorch.declare.text import kind_name, message_of
from llmorch.errors import MESSAGE, CallError, remedy, without_middle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import FrameType

DETAIL = 20_000
"""The longest traceback, in characters."""
MAX_KINDS = 20
"""The most classes of one exception that are named."""
KIND = 200
"""The longest name of a class, in characters."""
_OURS = __file__.removesuffix("places/failure.py")
"""The folder of this package: the frames in it that lead to a function are not the function's."""


class UnknownHereError(LookupError):
    """A value refers to what its process knows and this one doesn't."""


def described(error: BaseException) -> tuple[str, str]:
    """The line ``type: message`` and the traceback of an exception, both bounded."""
    keys = _keys(error)
    return _line(error, keys), _traceback(error, keys)


def _traceback(error: BaseException, keys: Sequence[str]) -> str:
    """The traceback from the function's own frames on, as Python prints it."""
    from traceback import format_exception, format_tb  # a worker that never fails never needs it

    frames, text = None, ""
    with suppress(BaseException):  # an exception may override anything that is read here
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
            frames = frames.tb_next
        if not _prints_much(error):
            text = "".join(format_exception(type(error), error, frames))
    text = text or "".join(format_tb(frames)) + _line(error, keys)
    return without_middle(masked(text, keys), DETAIL)


def _prints_much(error: BaseException) -> bool:
    """Whether Python would print far more of an exception than is kept: of all it came of, or of what it holds."""
    from llmorch.declare.previews import is_long

    known: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        args = BaseException.__dict__["args"].__get__(one)
        if len(known) > MAX_EXCEPTIONS or is_long(args, DETAIL):
            return True
        causes = [
            _attribute(one, "__cause__"),
            _attribute(one, "__context__"),
            *_members(one)[:MAX_EXCEPTIONS],
        ]
        left += filter(_is_error, causes)
    return False


def kind_of(kind: type) -> str:
    """A class's name by which it is known in every process."""
    return f"{kind.__module__}.{kind.__qualname__}"[:KIND]


def kinds_of(error: object) -> tuple[str, ...]:
    """The names of a value's class, an exception's mostly, and of those above it, nearest first."""
    try:
        kinds = tuple(kind_of(kind) for kind in type(error).__mro__[:-1])
    except BaseException:  # a metaclass may override anything that is read here
        return ()
    # Both what it is and that it is an Exception must be among them: the middle is left out.
    return kinds if len(kinds) <= MAX_KINDS else (*kinds[: MAX_KINDS // 2], *kinds[-MAX_KINDS // 2 :])


def known_kinds(kinds: object) -> tuple[str, ...]:
    """The names as ``kinds_of`` makes them; none of what came from another process in another form."""
    if not isinstance(kinds, tuple) or len(kinds) > MAX_KINDS:
        return ()
    return kinds if all(isinstance(kind, str) and len(kind) <= KIND for kind in kinds) else ()


class Raised(NamedTuple):
    """An exception as text, instead of a result."""

    message: str
    detail: str
    kinds: tuple[str, ...]


def raised(error: BaseException) -> Raised:
    """What is known of an exception that a function returned and did not raise."""
    return Raised(*described(error), kinds_of(error))


def late(name: str, timeout: float | None) -> CallError:
    """The failure of a call of this function that took longer than it may, in seconds."""
    return CallError(f"{name} took longer than its timeout of {timeout or 0:g} s", kinds=LATE)


LATE = kinds_of(TimeoutError())
"""What a call past its timeout counts as, as if the function had raised it."""
OUTGROWN = kinds_of(MemoryError())
"""What a call past its limit of memory counts as."""
CRASHED = kinds_of(Exception())
"""What the end of a call's process counts as: no exception in particular."""


MAX_EXCEPTIONS = 50
"""The most exceptions that one line tells of."""
MAX_NOTES = 10
"""The most notes of one exception that are listed."""
MAX_MEMBERS = 10
"""The most different members of one group that are listed."""
MAX_CAUSES = 8
"""The most exceptions of one chain that are listed: half of them its last, where it began."""

_MAX_CHAIN = 1_000
_BEGINNING = slice(4 * MESSAGE)
_SHORTEST = 24
_SHORTEST_KEY = 8
_MAX_FRAMES = 100
_MAX_FIELDS = 200
_is_key = lru_cache(maxsize=1_000)(names_secret)
_SILENT = ("CancelledError", "GeneratorExit")
"""How a coroutine is stopped: what an exception was raised for in the end says nothing by these."""


def line_of(error: BaseException) -> str:
    """The line ``type: message``, with all else that the exception tells."""
    return _line(error, _keys(error))


def _line(error: BaseException, keys: Sequence[str]) -> str:
    line = _Line()
    with suppress(BaseException):  # else what was read until then
        line.tell("", error)
        if advice := remedy(error):
            line.advise(advice)
    return line.text(keys) or "an exception that can't be read"


def _keys(error: BaseException) -> list[str]:
    """The keys that a failing function may quote: of the program's variables and of its own, the longest first."""
    # By name first: to read every value would cost more than all else here.
    found = {
        value for name in os.environ if _is_key(name) and _holds_key(name, value := os.environ.get(name, ""))
    }
    try:
        frames: list[FrameType] = []
        chain = [error, *(cause for _, cause in _causes(error))]
        for one in chain[:MAX_CAUSES]:
            trace = BaseException.__dict__["__traceback__"].__get__(one)
            while trace is not None and len(frames) < _MAX_FRAMES:
                frames.append(trace.tb_frame)
                trace = trace.tb_next
        for frame in frames:
            if not frame.f_code.co_filename.startswith(_OURS):
                found |= _keys_among(frame.f_locals)
    except BaseException:  # an exception may override what is read here
        pass
    # As they are, as Python quotes them in a repr, and each of these on one line.
    found |= {repr(key)[1:-1] for key in found}
    found |= {form for key in found for form in (_on_one_line(key), " ".join(key.split()))}
    return sorted(filter(None, found), key=len, reverse=True)


def _bare(text: str, keys: Sequence[str]) -> str:
    """A text without these keys, nor one that begins where a long text was cut."""
    text = masked(text, keys)
    if len(text) >= _BEGINNING.stop // 2:
        end = text.removesuffix("...")
        for key in keys:
            at = end.find(key[:_SHORTEST_KEY], max(0, len(end) - len(key)))
            while at >= 0:
                if key.startswith(end[at:]):
                    return f"{end[:at]}..."
                at = end.find(key[:_SHORTEST_KEY], at + 1)
    return text


def _keys_among(variables: Mapping[str, Any]) -> set[str]:
    """The keys of a function's variables, and of the object whose method it is."""
    found = {value for name, value in variables.items() if type(value) is str and _holds_key(name, value)}
    if "self" in variables:
        held = object.__getattribute__(variables["self"], "__dict__")
        some = islice(held.items(), _MAX_FIELDS) if type(held) is dict else ()
        found |= {
            value
            for name, value in some
            if type(name) is str and type(value) is str and _holds_key(name, value)
        }
    return found


def _holds_key(name: str, value: str) -> bool:
    """Whether a text under a name is a key; a plain word is none, nor is what is too short."""
    return len(value) >= _SHORTEST_KEY and _is_key(name) and (len(value) > 15 or not value.isalpha())


class _Line:
    """A line as it is written: pieces of text, each with what joins it to the one before."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, str]] = []
        self._left = MAX_EXCEPTIONS

    def text(self, keys: Sequence[str]) -> str:
        """The line without keys, of which each piece is cut so that all of them are in it."""
        pieces = [(joint, _bare(piece, keys)) for joint, piece in self._pieces]
        joints = sum(len(joint) for joint, _ in pieces)
        limit = _fair([len(piece) for _, piece in pieces], MESSAGE - joints)
        line = "".join(joint + without_middle(piece, limit) for joint, piece in pieces)
        return without_middle(line, MESSAGE)

    def advise(self, advice: str) -> None:
        """Say what to do about it, right after what it is."""
        self._pieces.insert(1, ("; ", advice))

    def tell(self, joint: str, error: BaseException) -> None:
        """Tell an exception, then what it came of."""
        self._tell_one(joint, error)
        for before, cause in _causes(error):
            if self._left > 0:
                self._tell_one(before, cause, known=self._says(_text(cause) or _name(cause)))

    def _tell_one(self, joint: str, error: BaseException, *, known: bool = False) -> None:
        """Tell an exception without what it came of; ``known`` says that its message is in the line."""
        self._left -= 1
        members = _members(error)
        if not known or members:
            name, message = _name(error), _text(error)
            self._pieces.append((joint, f"{name}: {message}" if message else name))
        for note in _notes(error):
            if not self._says(note):
                self._pieces.append(("; ", note))
        if members:
            self._tell_members(members)

    def _tell_members(self, members: Sequence[BaseException]) -> None:
        different: set[str] = set()
        left = len(members)
        for member in members:
            if self._left <= 0 or len(different) == MAX_MEMBERS:
                break
            start = len(self._pieces)
            self.tell(" | " if different else ": [", member)
            (_, first), *others = self._pieces[start:]
            text = first + "".join(joint + piece for joint, piece in others)
            if text in different:
                del self._pieces[start:]
            different.add(text)
            left -= 1
        if left:
            self._pieces.append((" | " if different else ": [", f"and {left:,} more"))
        self._pieces.append(("]", ""))

    def _says(self, text: str) -> bool:
        """Whether the line has this text already, and not only in the middle of a word."""
        text = text.strip("'\"") or text  # a KeyError's message is in quotes
        line = "".join(joint + piece for joint, piece in self._pieces)
        at = line.find(text)
        while at >= 0:
            end = at + len(text)
            inside = (line[at - 1 : at] + text[0]).isalnum() if at else False
            if not inside and not (end < len(line) and (text[-1] + line[end]).isalnum()):
                return True
            at = line.find(text, at + 1)
        return False


def _causes(error: BaseException) -> list[tuple[str, BaseException]]:
    """What an exception came of, the nearest first, each with how it is joined to the one before."""
    found: list[tuple[str, BaseException]] = []
    known = {id(error)}
    while len(found) < _MAX_CHAIN:
        cause, joint = _attribute(error, "__cause__"), "; caused by "
        if cause is None and not _attribute(error, "__suppress_context__"):
            cause, joint = _attribute(error, "__context__"), "; while handling "
        if not _is_error(cause) or id(cause) in known:
            break
        known.add(id(cause))
        if _name(cause) not in _SILENT:
            found.append((joint, cause))
        error = cause
    half = MAX_CAUSES // 2
    if len(found) <= MAX_CAUSES:
        return found
    joint, cause = found[-half]
    return [*found[:half], (f"; ...{joint}", cause), *found[-half + 1 :]]


def _members(error: BaseException) -> Sequence[BaseException]:
    """The members of a group; nothing for any other exception."""
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    members = _attribute(error, "exceptions")
    return members if type(members) is tuple and all(map(_is_error, members)) else ()


def _notes(error: BaseException) -> list[str]:
    notes = _attribute(error, "__notes__")
    some: Iterable[Any] = islice(notes, MAX_NOTES) if type(notes) is list else ()
    return [text for note in some if (text := _text(note))]


def _name(error: BaseException) -> str:
    return kind_name(error)


def _text(value: object) -> str:
    """What is written with a value, on one line."""
    try:
        if _is_error(value) and type(value).__str__ in (BaseException.__str__, KeyError.__str__):
            return message_of(value, _BEGINNING.stop)  # type: ignore[arg-type]
        text = str.__getitem__(str(value), _BEGINNING)  # a subclass of str may override the rest
    except BaseException:
        return "(its message can't be read)"
    return _on_one_line(text)


def _on_one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _attribute(error: BaseException, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except BaseException:  # an exception may override it
        return None


def _is_error(value: object) -> bool:
    return issubclass(type(value), BaseException)


def _fair(lengths: Sequence[int], room: int) -> int:
    """The length to which each piece may go, so that all of them fit into the room together."""
    for index, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - index)
        if length > share:
            return max(share, _SHORTEST)
        room -= length
    return max(lengths, default=0) or _SHORTEST
