"""Why a server refuses or gives up, in its own words, whatever shape these come in."""

from __future__ import annotations

import json
import re
from typing import Any

_DEEPEST = 5
_BEGINNING = 4_096
_MOST = 3
"""Of several reasons, so many are told."""


def said_in(body: object, depth: int = 0) -> str:
    """What an error's body says to people, or "" where it says nothing."""
    if isinstance(body, str):
        return _page(body) if depth == 0 and body.lstrip().startswith("<") else body
    if depth > _DEEPEST:
        return ""
    if isinstance(body, list):
        return "; ".join(filter(None, (said_in(one, depth + 1) for one in body[:_MOST])))
    if not isinstance(body, dict):
        return ""
    for name in ("error", "message", "detail", "msg", "reason", "description"):
        if said := said_in(body.get(name), depth + 1):
            return f"{said} ({where})" if name == "msg" and (where := _place(body.get("loc"))) else said
    return ""


def _page(text: str) -> str:
    """What a web page is called, such as a proxy shows."""
    title = re.search(r"<title>([^<]*)", text[:_BEGINNING], re.IGNORECASE)
    return f"a web page: {title[1].strip()}" if title and title[1].strip() else "a web page"


def all_of(body: object) -> str:
    """All that an error's body has, for who looks for a name in it."""
    if isinstance(body, str):
        return body
    try:
        return json.dumps(body)
    except (TypeError, ValueError, RecursionError):
        return ""


def _place(loc: Any) -> str:
    return (
        ".".join(str(one) for one in loc[:4] if isinstance(one, str | int)) if isinstance(loc, list) else ""
    )
