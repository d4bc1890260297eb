"""What must not be told to a model: texts that look like a secret, and values under a secret's name.

Decides by the look of a name and of a text. It must not know where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset(
    (
        *("secret", "secrets", "password", "passwd", "passphrase", "passcode", "pwd", "token", "credential"),
        *("credentials", "auth", "authorization", "bearer", "cookie", "dsn", "otp", "pin", "apikey", "jwt"),
    )
)
_KEYS = frozenset(
    (
        *("api", "access", "private", "secret", "auth", "encryption", "signing", "ssh", "account", "license"),
        *(
            "subscription",
            "service",
            "client",
            "master",
            "session",
            "storage",
            "shared",
            "app",
            "application",
        ),
    )
)
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
_RUN = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}")
_MASK = "**********"
"""What pydantic writes in the place of a secret."""


def names_secret(name: str) -> bool:
    """Whether something of this name is a secret: ``api_key``, ``accessToken``, ``db_password``."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if _SECRET_WORDS.intersection(words):
        return True
    return any(word in ("key", "keys") and before in _KEYS for before, word in pairwise(words))


def looks_secret(text: str) -> bool:
    """Whether a text looks like a key, a token, or an address with a password in it."""
    if text == _MASK or _LOOKS_SECRET.search(text):
        return True
    return any(_is_random(run) for run in _RUN.findall(text))


def _is_random(run: str) -> bool:
    """Whether letters and digits alternate as no word's do."""
    digits = sum(letter.isdigit() for letter in run)
    return 3 <= digits <= len(run) - 3


def hides(name: str, value: object, depth: int = 0) -> bool:
    """Whether a value under a name has something in it that must not be told."""
    if isinstance(value, str):
        return bool(value) and (names_secret(name) or looks_secret(value))
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
