"""How a request is worded for an OpenAI-compatible endpoint, and what of it the endpoint turns out to refuse.

What it refuses is learned once from its words and left out, or said otherwise, from then on.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from llmorch.models.model import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.models.model import ModelRequest, Tool, ToolCall

# What may be left out when an endpoint refuses it: newer models take no temperature, some
# endpoints no seed, and old ones don't know the option that asks for the usage.
_OPTIONAL = ("temperature", "seed", "stream_options", "stop", "reasoning_effort")
_MORE = 8
"""How many times as many tokens a model may write that spends those it was given on thoughts."""
_REMEMBERED = 1_000
_LONE = re.compile("[\\ud800-\\udfff]")
_NO_TOOLS = re.compile(r"tool|function.call", re.IGNORECASE)
_SCHEMA = re.compile(
    r"\$ref|\$defs|additionalProperties|schema|parameters|\bconst\b|unknown name", re.IGNORECASE
)
_STREAM = re.compile(
    r"(verified to|support|allow).{0,40}stream(?!_)|stream(?!_).{0,40}(not|n't|un)\W?(support|allow)",
    re.IGNORECASE,
)
_SYSTEM = re.compile(r"system.{0,60}(role|instruction|message)|role.{0,60}system", re.IGNORECASE | re.DOTALL)


class Wording:
    """What one model's endpoint takes, as far as it has said."""

    def __init__(
        self,
        model: str,
        without: Iterable[str] = (),
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        effort: str | None = None,
    ) -> None:
        self._model = model
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._effort = effort
        self._limit = "max_tokens"
        self._left_out: set[str] = {*without}
        self._times = 1
        self._beside: OrderedDict[str, dict[str, Any]] = OrderedDict()
        """What has to be sent back beside a call, by its id."""
        self.notes: list[str] = []
        """What it was fallen back to."""

    @property
    def calls_tools(self) -> bool:
        return "tools" not in self._left_out

    @property
    def streams(self) -> bool:
        return "stream" not in self._left_out

    def max_tokens(self, request: ModelRequest) -> int:
        """How many tokens a reply may have, thoughts among them."""
        return (self._max_tokens or request.max_tokens) * self._times

    def body(self, request: ModelRequest) -> dict[str, Any]:
        """The request as the endpoint is known to take it."""
        optional: dict[str, object] = {
            "temperature": request.temperature if self._temperature is None else self._temperature,
            "seed": request.seed,
            "stream_options": {"include_usage": True},
        }
        if self._effort is not None:
            optional["reasoning_effort"] = self._effort
        if not self.streams:
            del optional["stream_options"]
        if request.stop:
            optional["stop"] = list(request.stop)
        if request.tools:
            optional["tools"] = [self._tool(tool) for tool in request.tools]
        return {
            "model": self._model,
            "messages": self._messages(request.messages),
            "stream": self.streams,
            self._limit: self.max_tokens(request),
            **{field: value for field, value in optional.items() if field not in self._left_out},
        }

    def adapt(self, reason: str, body: Mapping[str, Any]) -> bool:
        """Whether a refusal named something of the request that is worded otherwise from now on.

        Another request may have learned it meanwhile: what counts is what this one had sent.
        """
        # "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        if "max_tokens" in body and "max_completion_tokens" in reason:
            self._limit = "max_completion_tokens"
            return True
        named = {field for field in _OPTIONAL if field in reason and field in body}
        self._left_out |= named
        if named:
            return True
        if body.get("stream") and _STREAM.search(reason):
            return self._fall_back(
                "stream", "the endpoint doesn't stream this model, so that calls begin later"
            )
        if any(message["role"] == "system" for message in body["messages"]) and _SYSTEM.search(reason):
            return self._fall_back("system", "the endpoint takes no system message, so the user's has it")
        nothing = [message for message in body["messages"] if message["content"] is None]
        if nothing and "content" in reason and "null" not in self._left_out:
            return self._fall_back("null", "")
        if body.get("tools") and _SCHEMA.search(reason) and "schemas" not in self._left_out:
            return self._fall_back(
                "schemas", "the endpoint takes simple schemas only, so functions are offered by these"
            )
        return False

    def refuses_tools(self, reason: str) -> bool:
        """Whether a refusal is one of tools, which aren't offered any more then."""
        if not _NO_TOOLS.search(reason):
            return False
        self._fall_back("tools", "the endpoint takes no tools, so calls are asked for as text")
        return True

    def allow_more(self) -> bool:
        """Let replies be longer, since thoughts took all there was; false where they may be already."""
        more, self._times = self._times == 1, _MORE
        return more

    def remember(self, calls: Iterable[tuple[ToolCall, Any]], thought: tuple[str, str]) -> None:
        """Keep what an endpoint wants to have back with these calls."""
        for call, extra in calls:
            beside = {} if extra is None else {"extra_content": extra}
            if thought[0]:
                beside["thought"] = thought
            if beside:
                self._beside[call.id] = beside
        while len(self._beside) > _REMEMBERED:
            self._beside.popitem(last=False)

    def _fall_back(self, what: str, note: str) -> bool:
        if what not in self._left_out and note:
            self.notes.append(note)
        self._left_out.add(what)
        return True

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        if "system" in self._left_out:
            messages = _without_system(messages)
        return [self._worded(message) for message in messages]

    def _worded(self, message: Message) -> dict[str, Any]:
        """A turn as the protocol has it."""
        # Without half characters: a file's name may have some, and a model's reply.
        worded: dict[str, Any] = {"role": message.role, "content": _LONE.sub("\ufffd", message.text)}
        if message.answers is not None:
            worded["tool_call_id"] = message.answers
        if message.calls:
            # Beside calls an empty text is refused by some, and none at all by others.
            worded["content"] = worded["content"] or ("" if "null" in self._left_out else None)
            worded["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments or "{}"},
                    **{
                        name: value
                        for name, value in self._beside.get(call.id, {}).items()
                        if name != "thought"
                    },
                }
                for call in message.calls
            ]
            thought = next(
                (
                    self._beside[call.id]["thought"]
                    for call in message.calls
                    if "thought" in self._beside.get(call.id, {})
                ),
                None,
            )
            if thought:
                worded[thought[1]] = thought[0]
        return worded

    def _tool(self, tool: Tool) -> dict[str, Any]:
        schema = dict(tool.schema)
        if "schemas" in self._left_out:
            schema = simple(schema)
        function = {"name": tool.name, "description": tool.description, "parameters": schema}
        return {"type": "function", "function": function}


def simple(schema: Any, known: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """A JSON schema without references, constants and what else simple readers of schemas refuse."""
    if isinstance(schema, list):
        return [simple(one, known, depth) for one in schema]
    if not isinstance(schema, dict):
        return schema
    known = schema.get("$defs", {}) if known is None else known
    if "$ref" in schema:
        target = known.get(str(schema["$ref"]).rpartition("/")[2])
        if target is None or depth > 5:
            return {"type": "object"}
        return simple(target, known, depth + 1)
    found: dict[str, Any] = {}
    for name, value in schema.items():
        if name in ("$defs", "additionalProperties", "title", "default"):
            continue
        if name == "const":
            found["enum"] = [value]
        elif name == "properties" and isinstance(value, dict):
            found[name] = {key: simple(one, known, depth) for key, one in value.items()}
        else:
            found[name] = simple(value, known, depth)
    return found


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The turns, with what the system says at the beginning of what the user says next."""
    turns: list[Message] = []
    said: list[str] = []
    for message in messages:
        if message.role == "system":
            said.append(message.text)
        elif said and message.role == "user":
            turns.append(Message("user", "\n\n".join([*said, message.text])))
            said = []
        else:
            turns.append(message)
    return [*turns, *(Message("user", text) for text in said)]
