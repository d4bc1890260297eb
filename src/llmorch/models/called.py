"""Tool calls of a reply: put together from their pieces, however an endpoint cuts and counts them.

The protocol has an index for each call, an id and a name in its first piece, and its arguments as text.
Endpoints leave out each of these, repeat it, or write the calls into the text.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmorch.models.model import ToolCall

if TYPE_CHECKING:
    from collections.abc import Collection

_BEFORE = re.compile(r"(?:functions|function|tools|default_api)[.:]\s*")
_WRITTEN = ("{", "[", "```", "<tool_call>", "<|tool_call", "<function=")
"""What calls begin with that are written into the text."""
_LONGEST = max(map(len, _WRITTEN))
_MARKS = re.compile(
    r"```(?:json|tool_call|tool_code)?|</?tool_call>|<\|/?tool_calls?(?:_begin|_end)?\|>|\[TOOL_CALLS\]"
)


@dataclass(slots=True)
class _Call:
    """A tool call while it arrives."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    extra: Any = None

    @property
    def whole(self) -> bool:
        """Whether its arguments are an object that is complete."""
        text = "".join(self.arguments).strip()
        return text.endswith("}") and isinstance(_read(text), dict)


class Calls:
    """The calls of one reply to a request that offers functions of these names."""

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = names
        self._all: list[_Call] = []
        self._at: dict[int, _Call] = {}
        """The last call of each index."""

    def __len__(self) -> int:
        return len(self._all)

    def take(self, delta: dict[str, Any]) -> int:
        """Add a piece of a call; return how many characters it has."""
        function = delta.get("function")
        said: dict[str, Any] = function if isinstance(function, dict) else {}
        id_, name = _text(delta.get("id")), _text(said.get("name"))
        given = said.get("arguments")
        arguments = json.dumps(given) if isinstance(given, dict | list) else _text(given)
        index = delta.get("index")
        call = self._which(index if isinstance(index, int) else None, id_, name)
        added = len(arguments) + (0 if call.id else len(id_))
        call.id = call.id or id_
        if name and not call.arguments and name != call.name:
            call.name += name
            added += len(name)
        if "".join(call.arguments[:3]) == "{}" and arguments.startswith("{"):
            call.arguments = []  # it announced none, and then sends them
        if arguments:
            call.arguments.append(arguments)
        call.extra = delta.get("extra_content") or call.extra
        return added

    def whole(self) -> list[tuple[ToolCall, Any]]:
        """The calls, now that they are whole, each with what has to be sent back beside it."""
        return [
            (
                ToolCall(
                    call.id or f"call_{uuid.uuid4().hex[:12]}",
                    self._named(call.name),
                    "".join(call.arguments),
                ),
                call.extra,
            )
            for call in self._all
            if call.name or call.arguments
        ]

    def perhaps_written(self, text: str) -> bool:
        """Whether a text that begins like this may turn out to be calls."""
        head = text[: 4 * _LONGEST].lstrip()[:_LONGEST]
        return bool(self._names) and any(head.startswith(one) or one.startswith(head) for one in _WRITTEN)

    def written(self, text: str) -> list[ToolCall]:
        """The calls that a text consists of, if it is nothing else."""
        found: list[Any] = []
        rest = _MARKS.sub("\n", text)
        decoder = json.JSONDecoder()
        while rest := rest.strip().lstrip(",;"):
            try:
                value, end = decoder.raw_decode(rest)
            except (ValueError, RecursionError):
                return []
            found += value if isinstance(value, list) else [value]
            rest = rest[end:]
        calls = []
        for one in found:
            inner = one.get("function") if isinstance(one, dict) else None
            said = inner if isinstance(inner, dict) else one
            name = self._named(_text(said.get("name") or inner)) if isinstance(said, dict) else ""
            if name not in self._names:
                return []
            arguments: Any = next(
                (said[key] for key in ("arguments", "parameters", "args") if key in said), {}
            )
            if not isinstance(arguments, str):
                arguments = json.dumps(arguments)
            calls.append(ToolCall(f"call_{uuid.uuid4().hex[:12]}", name, arguments))
        return calls

    def _which(self, index: int | None, id_: str, name: str) -> _Call:
        """The call that a piece belongs to; a new one where it begins one."""
        last = self._all[-1] if self._all else None
        if index is not None:
            # Without a name and an id it goes on with something, whatever its index.
            last = self._at.get(index, None if name or id_ else last)
        if id_ and last is not None and last.id not in ("", id_):
            last = next((call for call in reversed(self._all) if call.id == id_), last)
        if last is None or self._begins(last, id_, name):
            last = _Call()
            self._all.append(last)
        if index is not None:
            self._at[index] = last
        return last

    def _begins(self, last: _Call, id_: str, name: str) -> bool:
        """Whether a piece with this id and name begins another call than the last one that it may belong to."""
        if not name or not last.name or (id_ and id_ == last.id):
            return False
        if id_ and last.id:
            return True
        if not last.arguments:  # a name in pieces, if it isn't two
            return last.name in self._names and name in self._names
        return name != last.name or last.whole

    def _named(self, name: str) -> str:
        """A function's name without what templates leave around it."""
        if name in self._names:
            return name
        bare = _BEFORE.sub("", name.partition("<|")[0].strip(), count=1)
        return bare if bare in self._names or not self._names else name.partition("<|")[0].strip()


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
