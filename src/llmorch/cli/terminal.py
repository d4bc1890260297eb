"""Standard output and standard error of the program.

Decides what a terminal is shown instead of characters that steer it, and what becomes of text that nobody takes.

Whatever the command line writes goes through ``shown``: on a terminal, characters that would steer it or can't
be seen are written as Python writes them, ``\\x1b``; in pipes and files, and with ``--raw``, a text stays as it is.
What functions print themselves is theirs. It must import quickly.
"""

from __future__ import annotations

import io
import os
import re
import select
import sys
from contextlib import suppress
from errno import EBADF
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO

_STEERING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and new line; escape begins most sequences
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # they turn the direction of text
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2060-\u2065\u3164\ufeff\uffa0"  # nothing to be seen
    "\u2028\u2029\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # separators, annotations, formats
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags: a text that nobody sees
    "\ud800-\udfff"  # halves of characters
    "]"
)


class _Terminal:
    raw = False
    """Whether a terminal gets texts as they are."""
    taken = False
    """Whether the standard streams are the program's, to its end."""


def set_raw(raw: bool) -> bool:
    """Say whether a terminal gets texts as they are."""
    _Terminal.raw = raw
    return raw


def visible(text: str, *, whatever: bool = False) -> str:
    """The text with characters that steer a terminal or hide in it as Python writes them; unless it stays raw.

    What somebody is asked to decide on is visible ``whatever`` was said of raw texts.
    """
    return text if _Terminal.raw and not whatever else _STEERING.sub(_as_python, text.replace("\r\n", "\n"))


def _as_python(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def shown(text: str, stream: TextIO) -> str:
    """The text as this stream gets it."""
    return visible(text) if stream.isatty() else text


def say(text: str) -> None:
    """Write a line to standard error. Where nobody takes it, nothing happens: the answer counts more."""
    stream: Any = sys.stderr
    with suppress(OSError, ValueError, AttributeError):  # full, closed, or none
        stream.write(f"{shown(text, stream)}\n")
        stream.flush()


class _Whole(io.FileIO):
    """A descriptor that takes every text whole, also one that doesn't block; or loses it, where that is ``lenient``."""

    def __init__(self, descriptor: int, *, lenient: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._lenient = lenient

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest:
                written = super().write(rest)
                if written is None:  # somebody made it non-blocking, for all who share it
                    select.select([], [self], [])
                rest = rest[written or 0 :]
        except OSError:
            if not self._lenient:
                raise
        return size


def stream_to(descriptor: int, like: TextIO | None = None, *, lenient: bool = False) -> TextIO:
    """A text stream to a descriptor that stays open, with the encoding of ``like``; what that lacks is escaped.

    A ``lenient`` one never fails. Nothing stays behind in one that does.
    """
    encoding = getattr(like, "encoding", None) or "utf-8"
    lines = lenient or os.isatty(descriptor)  # a lenient one is, or leads to, standard error
    file: Any = _Whole(descriptor, lenient=lenient)
    return io.TextIOWrapper(file, encoding=encoding, errors="backslashreplace", line_buffering=lines)


def taken() -> bool:
    """Whether the standard streams are the program's, to its end, and not somebody's who has called a command."""
    return _Terminal.taken


def take_streams() -> None:
    """Have standard streams on which nothing can be lost by an odd beginning: closed, full, or of few characters."""
    _Terminal.taken = True
    # What is opened next would get the number of one that is closed, and then what is printed.
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_RDWR)):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, mode), True)  # the lowest number is this one
    with suppress(OSError):
        sys.stderr = stream_to(2, sys.stderr, lenient=True)
        sys.stdout = stream_to(1, sys.stdout)


def take_messages() -> None:
    """Have warnings, and records of logs that nobody else takes, go through ``say``."""
    import logging
    import warnings

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(self.format(record))

    def warn(
        message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        say(warnings.formatwarning(message, category, filename, lineno, line).rstrip("\n"))

    logging.lastResort = Said(logging.WARNING)
    warnings.showwarning = warn


def why_not(error: OSError) -> str:
    """Why a standard stream can't be written, in words."""
    return "it is closed" if error.errno == EBADF else (error.strerror or str(error))
