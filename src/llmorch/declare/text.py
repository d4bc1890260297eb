"""Texts of one line: what an error says of somebody's value, and a text that is cut where it is too long.

Values come from functions and their libraries, so their methods may raise, hang, lie or write megabytes.
Everything here is bounded before it is made where that can be told. What is no builtin is asked for its text
only by ``brief``, which is for the program's own arguments, and where its author wrote a message for an exception.
"""

from __future__ import annotations

import re
from itertools import islice
from opcode import opmap
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MESSAGE = 500
"""The longest message of an exception that an error quotes, in characters."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_NAME = 200
_ITEMS = 10
_DEPTH = 3
_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", dict: "{}", set: "{}", frozenset: "{}"}
_SHORT = (bool, float, complex, type(None))
_RAISE = opmap["RAISE_VARARGS"]
"""The instruction of a ``raise`` statement in CPython's code."""


def one_line(text: object) -> str:
    """A text on one line, without the address of any object."""
    return _ADDRESS.sub("", " ".join(said(text, 10 * MESSAGE).split()))[:300]


def brief(value: object) -> str:
    """How Python writes a value, in one short line whatever it is: its own methods may raise."""
    try:
        text = quoted(value, 100) if _is_plain(value) else str.__getitem__(repr(value), slice(400))
    except BaseException as error:
        if interrupted(error):
            raise
        return f"a {kind_name(value)}"
    return shortened(_ADDRESS.sub("", text), 100)


def quoted(value: object, most: int = 100) -> str:
    """A value as Python writes it, within a sentence: its beginning, and of what is no builtin only its class."""
    return shortened(_written(value, most, _DEPTH), most)


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters on one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: max(0, most - 3)].rstrip()}..."


def is_a(value: object, kinds: Any) -> bool:
    """Whether a value is of one of these classes; unlike ``isinstance`` it doesn't ask the value, which may lie."""
    try:
        return issubclass(type(value), kinds)
    except BaseException as error:  # a metaclass may override what an abstract class asks for
        if interrupted(error):
            raise
        return False


def kind_name(value: object) -> str:
    """The name of a value's class, whatever its metaclass says."""
    return str.__str__(type.__getattribute__(type(value), "__name__"))[:_NAME]


def said(value: object, most: int = MESSAGE) -> str:
    """What a value says of itself as text, at most its first so many characters; of an exception, its message."""
    if is_a(value, BaseException):
        return message_of(value, most)  # type: ignore[arg-type]
    try:
        return str.__getitem__(value if type(value) is str else str(value), slice(most))
    except BaseException as error:
        if interrupted(error):
            raise
        return f"(a {kind_name(value)} that can't be read)"


def message_of(error: BaseException, most: int = MESSAGE) -> str:
    """An exception's message on one line, of at most so many characters: of large arguments as much as is shown."""
    try:
        method = type(error).__str__
        if method in (BaseException.__str__, KeyError.__str__):
            found: Any = BaseException.args.__get__(error)  # type: ignore[attr-defined]
            if len(found) != 1:
                text = _written(found, most, _DEPTH) if found else ""
            elif method is KeyError.__str__:
                text = _written(found[0], most, _DEPTH)
            else:
                text = said(found[0], 4 * most)
        else:
            text = str.__getitem__(str(error), slice(4 * most))
    except BaseException as raised:
        if interrupted(raised):
            raise
        return "(its message can't be read)"
    return shortened(text, most)


def described(error: BaseException, most: int = MESSAGE) -> str:
    """An exception on one line: its class and its message."""
    message = message_of(error, most)
    return f"{kind_name(error)}: {message}" if message else kind_name(error)


def interrupted(error: BaseException) -> bool:
    """Whether it is the Ctrl-C of somebody at the keyboard, and not what somebody's code raises.

    It comes out of a handler of signals, which takes the frame that it interrupts, or out of the interpreter
    between two instructions: then the last frame stands at no ``raise``.
    """
    if type(error) is not KeyboardInterrupt or (trace := error.__traceback__) is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    code = frame.f_code
    if any(type(one) is FrameType for one in frame.f_locals.values()):
        return True
    return code.co_code[trace.tb_lasti] != _RAISE


def _is_plain(value: object) -> bool:
    return type(value) in (str, bytes, int) or type(value) in _SHORT or type(value) in _BRACKETS


def _written(value: Any, most: int, depth: int) -> str:
    """How Python writes a value, looking at no more of it than is shown; maybe a little longer than ``most``."""
    kind = type(value)
    if kind in _SHORT:
        return repr(value)
    if kind in _BRACKETS:
        return _items(value, most, depth) if value else repr(value)
    if issubclass(kind, str):
        text = str.__getitem__(value, slice(most + 1))
        return repr(text) if len(text) <= most else f"{text[:most]!r}..."
    if issubclass(kind, bytes):
        return repr(bytes.__getitem__(value, slice(most)))
    if issubclass(kind, int):
        bits = int.bit_length(value)
        return (
            int.__repr__(value) if bits < 4 * most else f"<a number of about {bits * 3 // 10 + 1:,} digits>"
        )
    if issubclass(kind, float):
        return float.__repr__(value)
    return f"<{kind_name(value)}>"


def _items(value: Any, most: int, depth: int) -> str:
    opening, closing = tuple(_BRACKETS[type(value)])
    if not depth:
        return f"{opening}...{closing}"
    texts: list[str] = []
    some: Iterable[Any] = value.items() if type(value) is dict else value
    for item in islice(some, _ITEMS):
        if type(value) is dict:
            texts.append(f"{_written(item[0], most, depth - 1)}: {_written(item[1], most, depth - 1)}")
        else:
            texts.append(_written(item, most, depth - 1))
        if sum(map(len, texts)) > most:
            break
    if len(texts) < len(value):
        texts.append("...")
    return f"{opening}{', '.join(texts)}{',' if type(value) is tuple and len(value) == 1 else ''}{closing}"
