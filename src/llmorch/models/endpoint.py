"""Where an endpoint is, and what lets one in.

This module decides what of both a person may read: an address without the password or key in it,
and what the endpoint said without what we sent it for no one else.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from llmorch.declare.secrets import MASK, masked, names_secret
from llmorch.declare.text import brief, kind_name
from llmorch.errors import WrongArgument
from llmorch.models.presets import OPENAI

if TYPE_CHECKING:
    from collections.abc import Iterable

    from httpx2 import BasicAuth

    from llmorch.models.presets import Preset

_SNIPPET = 300
_LONGEST = 1 << 16
_LEAST = 4
"""A shorter text isn't masked where an endpoint says it: it is more likely a word than a key."""
_LEAST_OF_REPLIES = 16
"""A shorter one isn't masked in a model's reply: that is a plan, and a word of it."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Endpoint:
    """An address with a key. The repr of neither it nor of what it holds tells a secret."""

    def __init__(self, address: str, key: str, preset: Preset = OPENAI, *, given: bool = False) -> None:
        # Stripped, because what is read from a file or pasted often ends with a newline.
        self._address, self._key = SecretStr(_base(address.strip())), SecretStr(key.strip())
        self.preset = preset
        self.lacks = ""
        """The variable that has to be set first; of OpenAI's own the package says so."""
        if preset is not OPENAI and not given and not (self.address and (self.key or not preset.key)):
            self.lacks = preset.key if self.address else preset.at
        self.shown = shown(self.address) if self.address else "OpenAI"
        """The address for people."""
        self._sent: set[str] = set()

    def __repr__(self) -> str:
        return f"Endpoint({self.shown!r})"

    @property
    def address(self) -> str:
        return self._address.get_secret_value()

    @property
    def key(self) -> str:
        return self._key.get_secret_value()

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine. For an address that ``where`` has accepted."""
        return bool(self.address) and urlsplit(self.address).hostname in _LOOPBACK

    def where(self) -> dict[str, Any]:
        """The address for the openai client, without what mustn't be logged. Raises ``httpx2.InvalidURL``."""
        if not self.address:
            return {"base_url": None}
        import httpx2

        url = httpx2.URL(self.address)
        bare = str(url.copy_with(userinfo=b"", query=None, fragment=None))
        return {"base_url": bare, "default_query": dict(url.params)}

    def auth(self) -> BasicAuth | None:
        """The user and the password of an address that ``where`` has accepted."""
        import httpx2

        url = httpx2.URL(self.address)
        return httpx2.BasicAuth(url.username, url.password) if url.userinfo else None

    def line(self, said: object) -> str:
        """What somebody said, on one line without what lets one in, nor what a terminal would obey."""
        text = masked(str(said)[:_LONGEST], self.secrets())
        text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
        return text if len(text) <= _SNIPPET else text[:_SNIPPET] + "..."

    def sends(self, fields: Mapping[str, object]) -> None:
        """Take note of what a request's body has under a secret's name."""
        for name, value in fields.items():
            if isinstance(value, str) and names_secret(name):
                self._sent.add(value)
            elif isinstance(value, Mapping):
                self.sends(value)

    def quoted_by(self, error: BaseException | None) -> bool:
        """Whether an exception, or one that it comes from, says what lets one in."""
        secrets = self.secrets()
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            text = f"{error!s} {error!r} {getattr(error, 'body', '')}"
            if any(secret in text for secret in secrets):
                return True
            error = error.__cause__ or error.__context__
        return False

    def secrets(self) -> list[str]:
        """What must not be read by anybody, the longest first."""
        found = {self.key, *self._values_of_query()}
        if user := _user(self.address):
            user = f"{user}:" if ":" not in user else user
            found |= {user, base64.b64encode(unquote(user).encode()).decode(), *user.split(":", 1)}
        found |= {unquote(secret) for secret in found} | self._sent
        found |= {quote(secret, safe=safe) for secret in found for safe in ("", "/")}
        return sorted((secret for secret in found if len(secret) >= _LEAST), key=len, reverse=True)

    def _values_of_query(self) -> list[str]:
        """The values of the address's query, as they are and as they are sent."""
        _, mark, query = self.address.partition("?")
        pairs = (
            [pair.partition("=")[2] or pair for pair in query.partition("#")[0].split("&")] if mark else []
        )
        return [*pairs, *(unquote(value) for value in pairs)]


class Masking:
    """Takes the secrets of an endpoint out of a reply that quotes them, however it is cut into pieces."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= _LEAST_OF_REPLIES]
        self._ends = "".join({secret[0] for secret in self._secrets})
        self._kept = ""

    def feed(self, piece: str) -> str:
        """What can be read by now: all but an end with which one may begin."""
        text = self._kept + piece
        if not any(one in text for one in self._ends):
            self._kept = ""
            return text
        text = self.masked(text)
        kept = max((_begun(text, secret) for secret in self._secrets), default=0)
        self._kept = text[len(text) - kept :]
        return text[: len(text) - kept]

    def rest(self) -> str:
        """The end of the reply."""
        kept, self._kept = self._kept, ""
        return kept

    def masked(self, text: str) -> str:
        """A whole text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def _base(address: str) -> str:
    """An address as the client takes it, without the path of a request that was pasted with it."""
    place, mark, query = address.partition("?")
    for path in ("/chat/completions", "/completions", "/responses", "/models"):
        place = place.rstrip("/").removesuffix(path) if place.rstrip("/").endswith(path) else place
    return place + mark + query


def _begun(text: str, secret: str) -> int:
    """How many characters at a text's end are the beginning of a secret."""
    at = text.find(secret[0], max(0, len(text) - len(secret) + 1))
    while at >= 0:
        if secret.startswith(text[at:]):
            return len(text) - at
        at = text.find(secret[0], at + 1)
    return 0


def endpoint_of(base_url: str | None, api_key: str | None, preset: Preset = OPENAI) -> Endpoint:
    """The endpoint that somebody names, or else the preset's. Raises ``WrongArgument``, which tells no secret."""
    check_address(base_url)
    if api_key is not None and not isinstance(api_key, str):
        raise WrongArgument(f"api_key is a text, not a {kind_name(api_key)}")
    key = api_key or (os.environ.get(preset.key, "") if preset.key else "")
    return Endpoint(base_url or preset.found(), key, preset, given=bool(base_url))


def header_lines(headers: object) -> dict[str, str]:
    """The headers that somebody wants sent. Raises ``WrongArgument``, which tells no value."""
    if headers is None:
        return {}
    good = isinstance(headers, Mapping) and all(
        isinstance(one, str) and one.isascii() and one.isprintable()
        for pair in headers.items()
        for one in pair
    )
    if not good:
        raise WrongArgument('headers are texts by name, as in {"X-Title": "mine"}, in ASCII and on one line')
    return dict(headers)  # type: ignore[call-overload, no-any-return]


def check_address(base_url: object) -> None:
    """Raise ``WrongArgument`` for what is no address, as far as its kind tells."""
    if base_url is not None and not isinstance(base_url, str):
        expected = 'an address, such as "http://127.0.0.1:8000/v1"'
        raise WrongArgument(f"base_url is {expected}, not {masked(brief(base_url))}")


def shown(address: str) -> str:
    """An address without the user, password and query in it, be it one or not."""
    begin, _, rest = address.rpartition("@")
    scheme = re.match(r"[^:/?#]*://", address)
    head = f"{scheme[0] if scheme else ''}{MASK}@" if begin else ""
    place, mark, _ = rest.partition("?")
    return " ".join(f"{head}{place}{f'?{MASK}' if mark else ''}".split())[:_SNIPPET]


def _user(address: str) -> str:
    """The user and the password of an address, as they are written there."""
    begin, at, _ = address.rpartition("@")
    return re.sub(r"^[^:/?#]*://", "", begin) if at else ""
