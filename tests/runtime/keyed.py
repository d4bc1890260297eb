"""Functions that have a key from somewhere, and fail with it in what they say."""

from __future__ import annotations

import os
import sys
from typing import Any

from pydantic import SecretStr

from llmorch import function
from tests.marked_keys import MARK

KEY = f"{MARK}-of-a-vault"
HIDDEN = SecretStr(KEY)


def from_the_environment(x: str) -> Any:
    raise PermissionError(f"401 for {x} with {os.environ['OPENAI_API_KEY']}")


def by_default(x: str, api_key: str = KEY) -> Any:
    raise PermissionError(f"401 for {x} with {api_key!r}")


def by_variable(x: str) -> Any:
    token = f"{KEY}\n{x}"
    raise PermissionError(f"401 with {token}", token)


def by_header(x: str) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    raise PermissionError(f"{x}: {headers}")


def by_address(x: str) -> Any:
    raise PermissionError(
        f"{x}: GET https://me:{KEY}@example.org/?q=1 and https://example.org/?api_key={KEY}&q=1"
    )


def by_hidden(x: str, password: SecretStr = HIDDEN) -> Any:
    raise PermissionError(f"401 for {x} with {password} {password!r}")


def by_cause(x: str) -> Any:
    try:
        by_default(x)
    except PermissionError as error:
        raise RuntimeError(x) from error


def by_note(x: str, secret: str = KEY) -> Any:
    error = RuntimeError(x)
    error.add_note(f"asked with {secret}")
    raise error


def by_group(x: str, secret: str = KEY) -> Any:
    raise ExceptionGroup(x, [RuntimeError(f"one {secret}"), ExceptionGroup("two", [ValueError(f"{secret}")])])


def by_arguments(x: str, secret: str = KEY) -> Any:
    raise PermissionError(x, {"secret": [secret]})


def by_an_end(x: str, secret: str = KEY) -> Any:
    """A crash: what its process says is not ours to print, so here it says it of no key."""
    sys.stderr.flush()
    os._exit(3)


class Client:
    """What has a key of its own."""

    def __init__(self) -> None:
        self.api_key = KEY

    def by_object(self, x: str) -> Any:
        """Ask with the object's key."""
        raise PermissionError(f"401 for {x} with {self.api_key}")


WAYS_IN = {
    one.__name__: one
    for one in (
        *(from_the_environment, by_default, by_variable, by_header, by_address, by_hidden, by_cause),
        *(by_note, by_group, by_arguments, by_an_end, Client().by_object),
    )
}


def offered(way: str, where: str) -> Any:
    """The function, to be called there."""
    made: dict[str, dict[str, Any]] = {"thread": {}, "process": {"kind": "compute"}}
    return function(**made[where])(WAYS_IN[way])
