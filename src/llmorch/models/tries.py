"""When a request is asked again: what passes by itself, how often, and after how long."""

from __future__ import annotations

import random
from contextlib import suppress

from llmorch.models.reasons import all_of

_BUSY = (408, 409, 429)
"""Refusals that may be others a little later, as those from 500 on."""
_PATIENCE = 60.0
"""Seconds: an endpoint that wants to be left alone for longer is not waited for."""
_CROWDED = 20
"""How often a request is asked again that is only one of too many."""


class CutShortError(Exception):
    """The limit of tokens was spent before the reply began, on thoughts."""


class BrokenOffError(Exception):
    """A reply ended without saying that it is whole."""


class Tries:
    """How often one request is asked again, and after how long."""

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._crowded = _CROWDED
        self._wait = 0.5

    def again(self, error: Exception, *, crowded: bool) -> bool:
        """Whether to ask again after this error."""
        if not _is_passing(error) or _asked_to_wait(error) > _PATIENCE:
            return False
        if crowded:
            self._crowded -= 1
            return self._crowded >= 0
        self._left -= 1
        return self._left >= 0

    def pause(self, error: Exception) -> float:
        """Seconds to wait before."""
        self._wait *= 2
        return _asked_to_wait(error) or min(8.0, self._wait / 2) * random.uniform(0.75, 1.0)


def is_of_server(error: Exception) -> bool:
    """Whether another request instead of this one would fare no better."""
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code not in (400, 413, 422)
    return isinstance(error, openai.OpenAIError | TimeoutError | httpx2.TimeoutException)


def is_crowded(error: Exception) -> bool:
    """Whether it is refused only because others are asked at the same time."""
    return getattr(error, "status_code", None) == 429 and not _asked_to_wait(error)


def _is_passing(error: Exception) -> bool:
    """Whether the same request may be answered a little later. No answer in time isn't that: it was waited for."""
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        spent = "insufficient_quota" in all_of(error.body)
        return not spent and (error.status_code in _BUSY or error.status_code >= 500)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | httpx2.DecodingError):
        return False
    return isinstance(error, openai.APIConnectionError | httpx2.HTTPError | BrokenOffError)


def _asked_to_wait(error: Exception) -> float:
    """The seconds that an endpoint asks to be left alone for, or 0."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(KeyError, TypeError, ValueError):
            return max(0.0, float(headers[name]) * unit)
    return 0.0
