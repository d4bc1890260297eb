"""What must not be told to a model, nor written down: what looks like a secret, and values under a secret's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORDS.findall(name))


_SECRETS = _words("""
    secret secrets password passwords passwd passphrase passcode passkey passw pwd pswd psw pw token
    credential credentials creds authorization bearer cookie apikey jwt pincode
""")
"""What a secret's name ends with, also where nothing stands between its words: ``dbpassword``."""
_SECRET_WORDS = frozenset((*_SECRETS, *_words("auth dsn otp totp pin cvv cvc ssn")))
_OWNERS = _words("""
    api access private secret auth encryption decryption signing ssh account license subscription
    service client master session storage shared app application server user admin root deploy
    webhook hmac rsa aes gpg
""")
"""Whose keys are secrets."""
_ENDINGS = (*_SECRETS, *(f"{owner}{key}" for owner in _OWNERS for key in ("key", "keys")))
_PASSES = _words("""
    by com encom sur tres over under low high band all single multi first second third last next one
    two boarding forward backward im mountain day ski bus rail
""")
"""What a pass may be that is no password."""
_MEASURES = _words("""
    max min num number n count total length len size limit budget per timeout ttl seconds minutes
    hours days age lifetime expiry expires interval rate retries attempts index id version price
    cost
""")
"""With one of these a name is a number's about a secret, which is none itself: ``password_length``."""
_LOOKS_SECRET = re.compile(
    r"""
      \b(?:sk|pk|rk|ghp|gho|ghu|ghs|ghr|glpat|xox[a-z]|hf|shpat|dop_v1|whsec)[-_][A-Za-z0-9_-]{6,}
    | \bgithub_pat_\w+
    | \b(?:AKIA|ASIA)[0-9A-Z]{12,}
    | \bAIza[\w-]{20,}
    | \beyJ[\w-]+\.[\w-]+
    | -----BEGIN[ ]
    | \bBearer[ ]\S+ | \bBasic[ ][A-Za-z0-9+/]{8,}
    | ://[^/\s:@]*:[^/\s@]+@
    | (?i:\b|_)(?i:password|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|signature|sig|accountkey)\s*[=:]\s*\S
    """,
    re.VERBOSE,
)
_KEYS_OF_QUERIES = frozenset(("key", "sig", "signature"))
_RUN = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}")
MASK = "**********"
"""What stands for a secret, as pydantic writes it."""
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")
_AUTHORIZATION = re.compile(r"(?i:(\b(?:bearer|basic)\s+))[\w.~+/=-]{16,}")
"""What lets one in, as headers have it. A shorter word is more likely one of a sentence."""
_IN_QUERY = re.compile(r"""([?&])([\w.-]+)=([^&\s"'<>)]+)""")


def names_secret(name: str) -> bool:
    """Whether something of this name is a secret: ``api_key``, ``accessToken``, ``db_password``, ``userpass``."""
    words = _words(name)
    if any(word in _SECRET_WORDS or word.endswith(_ENDINGS) for word in words):
        return True
    return _is_pass(words) or any(f"{before}{word}".endswith(_ENDINGS) for before, word in pairwise(words))


def _is_pass(words: Sequence[str]) -> bool:
    """Whether a name ends with a pass that lets somebody in."""
    named = [word for word in words if not word.isdigit()]
    if not named or not named[-1].endswith("pass"):
        return False
    which = named[-1].removesuffix("pass") or (named[-2] if len(named) > 1 else "")
    return which not in _PASSES


def looks_secret(text: str) -> bool:
    """Whether a text looks like a key, a token, or an address with a password in it."""
    if text == MASK or _LOOKS_SECRET.search(text):
        return True
    return any(_is_random(run) for run in _RUN.findall(text))


def _is_random(run: str) -> bool:
    """Whether letters and digits alternate as no word's do."""
    digits = sum(letter.isdigit() for letter in run)
    return 3 <= digits <= len(run) - 3


def masked(text: str, known: Iterable[str] = ()) -> str:
    """A text without these secrets, nor the passwords and keys of the addresses and headers in it."""
    for secret in known:
        text = text.replace(secret, MASK)
    text = _AUTHORIZATION.sub(rf"\1{MASK}", text)
    if "://" in text:
        text = _PASSWORD.sub(rf"\1{MASK}", text)
    return _IN_QUERY.sub(_without_secret, text) if "=" in text else text


def _without_secret(found: re.Match[str]) -> str:
    mark, name, _ = found.groups()
    return f"{mark}{name}={MASK}" if name.lower() in _KEYS_OF_QUERIES or names_secret(name) else found[0]


def hides(name: str, value: object, depth: int = 0) -> bool:
    """Whether a value under a name has something in it that must not be told."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return bool(value) and (names_secret(name) or looks_secret(value))
    if isinstance(value, int | float):
        return (
            type(value) is not bool
            and names_secret(name)
            and not any(word in _MEASURES for word in _words(name))
        )
    if depth > 8:
        return True
    if isinstance(value, Mapping):
        return any(
            hides(name if names_secret(name) else str(key), item, depth + 1) or looks_secret(str(key))
            for key, item in value.items()
        )
    if isinstance(value, list | tuple | set | frozenset):
        return any(hides(name, item, depth + 1) for item in value)
    return False
