"""Models behind an OpenAI-compatible endpoint: OpenAI, Ollama, vLLM, OpenRouter, Gemini, llama.cpp.

This module decides how a request is worded for such an endpoint, what to do when the
endpoint doesn't know a parameter, and what a person reads when it fails.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sys
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmorch.arguments import LONGEST, called, positive, refuse, text, whole
from llmorch.errors import ModelError, ToolsRefused, WrongArgument
from llmorch.models.clients import Clients, ClosedMeanwhile
from llmorch.models.model import Finished, Message, ModelRequest, Piece, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from ssl import SSLContext

    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

    from llmorch.declare.functions import Kind
    from llmorch.models.clients import Client

    Extra = Callable[[ModelRequest], Mapping[str, object]]

# What may be left out when an endpoint refuses it: newer models take no temperature, some
# endpoints no seed, and old ones don't know the option that asks for the usage.
_OPTIONAL = ("temperature", "seed", "stream_options", "stop")
_PREFIX = "openai:"
_SNIPPET = 300
_LONE = re.compile("[\\ud800-\\udfff]")
_MUTE_A_TOKEN = 20
"""Chunks without text, or characters of tool calls, for each token that a reply may have."""


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    ``base_url`` and ``api_key`` default to OPENAI_BASE_URL and OPENAI_API_KEY, as in the
    openai package; an endpoint other than OpenAI's own needs no key. ``timeout`` is how many
    seconds may pass in which a reply doesn't go on. ``extra`` adds fields
    to the request's body, for endpoints that take more than OpenAI's.

    Any number of event loops may ask at once. Each has connections of its own, which end with
    it, as ``asyncio.run`` ends a loop: where you close one yourself, call its
    ``shutdown_asyncgens`` before. A forked child opens its own.
    """

    kind: Kind = "inout"
    constrains = False

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        *,
        retries: int = 2,
        extra: Extra | None = None,
        label: str | None = None,
    ) -> None:
        text("name", name, "a model's name")
        if base_url is not None and not isinstance(base_url, str):
            refuse("base_url", 'an address, such as "http://127.0.0.1:8000/v1"', base_url)
        if api_key is not None and not isinstance(api_key, str):  # which is not printed
            raise WrongArgument(f"api_key is a text, not a {type(api_key).__name__}")
        positive("timeout", timeout, " of seconds", most=LONGEST)
        whole("retries", retries, 0, 100)
        called("extra", extra, "a function of a request")
        if label is not None:
            text("label", label)
        self._model = name.removeprefix(_PREFIX)
        self.name = label or _PREFIX + self._model
        # Stripped, because what is read from a file or pasted often ends with a newline.
        self._base_url = (base_url or os.environ.get("OPENAI_BASE_URL", "")).strip() or None
        self._api_key = (api_key or os.environ.get("OPENAI_API_KEY", "")).strip() or None
        self._timeout = timeout
        self._retries = retries
        self._extra = extra
        self._limit = "max_tokens"
        self._refused: set[str] = set()
        self._tls: SSLContext | None = None
        self._reading: dict[int, threading.Lock] = {}
        self._clients = Clients(self._client)

    @property
    def calls_tools(self) -> bool:
        return "tools" not in self._refused

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Reply to ``request``, piece by piece."""
        await package()
        begun = False
        try:
            client = await self._clients.mine()
            async with client.waiting():
                chunks = await self._ask(request, client)
            async with chunks, aclosing(self._read(request, chunks, client)) as pieces:
                begun = True
                async for piece in pieces:
                    yield piece
        except ModelError:
            raise
        except Exception as error:
            raise self._error(error, begun=begun) from error

    async def close(self) -> None:
        """End the connections of all event loops; a later ``stream`` opens new ones."""
        await self._clients.close()

    async def _ask(self, request: ModelRequest, client: Client) -> AsyncStream[ChatCompletionChunk]:
        """Send the request, and again without what the endpoint turns out to refuse."""
        openai = await package()
        while True:
            body = self._body(request)
            try:
                stream: AsyncStream[ChatCompletionChunk] = await client.api.chat.completions.create(**body)
            except openai.APIStatusError as error:
                reason = _reason(error)
                # Endpoints say so with 400, 404, 422 or 500, and all of them name the tools.
                asked_before = any(message.calls for message in request.messages)
                unrelated = error.status_code in (401, 403, 429) or asked_before
                if request.tools and not unrelated and "tool" in reason.lower():
                    self._refused.add("tools")
                    raise ToolsRefused(f"{self.name}: takes no tools ({reason})") from error
                if error.status_code not in (400, 422) or not self._adapt(reason, body):
                    raise
            else:
                return stream

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        optional: dict[str, object] = {
            "temperature": request.temperature,
            "seed": request.seed,
            "stream_options": {"include_usage": True},
        }
        if request.stop:
            optional["stop"] = list(request.stop)
        if request.tools:
            optional["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.schema),
                    },
                }
                for tool in request.tools
            ]
        return {
            "model": self._model,
            "messages": [_worded(message) for message in request.messages],
            "stream": True,
            self._limit: request.max_tokens,
            "extra_body": dict(self._extra(request)) if self._extra else None,
        } | {field: value for field, value in optional.items() if field not in self._refused}

    def _adapt(self, reason: str, body: Mapping[str, object]) -> bool:
        """Whether a refusal named something of the request that is worded otherwise from now on.

        Another request may have learned it meanwhile: what counts is what this one had sent.
        """
        # "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        if "max_tokens" in body and "max_completion_tokens" in reason:
            self._limit = "max_completion_tokens"
            return True
        named = {field for field in _OPTIONAL if field in reason and field in body}
        self._refused |= named
        return bool(named)

    async def _read(
        self, request: ModelRequest, chunks: AsyncStream[ChatCompletionChunk], client: Client
    ) -> AsyncGenerator[Piece, None]:
        calls: dict[int, ToolCall] = {}
        reason: str | None = None
        usage: tuple[int, int] | None = None
        refusal, length, heard, mute = "", 0, False, 0
        chunk: ChatCompletionChunk
        async for chunk in self._going_on(chunks, client):
            heard = True
            mute += 1
            if mute > request.max_tokens * _MUTE_A_TOKEN:
                raise self._failed("the reply goes on and on without a word", "use another model")
            if chunk.usage is not None:
                usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            # The chunk with the usage has no choice, and some endpoints send others without.
            for choice in chunk.choices or ():
                reason = choice.finish_reason or reason
                refusal += choice.delta.refusal or ""
                for delta in choice.delta.tool_calls or ():
                    _extend(calls, delta)
                    mute += len((delta.function and delta.function.arguments) or "")
                if choice.delta.content:
                    mute -= 1
                    length += len(choice.delta.content)
                    yield Text(choice.delta.content)
        if refusal or reason == "content_filter":
            said = (
                f"refused to answer: {_line(refusal)}"
                if refusal
                else "the endpoint's filter withheld the reply"
            )
            raise self._failed(said, "word the query differently or use another model")
        if not heard:  # such as a web page
            raise self._failed("no reply in what arrived", self._is_it_compatible())
        if reason is None:
            raise self._failed("the reply broke off", "try again")
        for call in calls.values():
            length += len(call.arguments)
            yield call
        if usage is None:  # not every endpoint counts; four characters a token is close enough to add up
            usage = (sum(len(message.text) for message in request.messages) // 4, length // 4)
        yield Finished("length" if reason == "length" else "stop", *usage)

    async def _going_on(
        self, chunks: AsyncStream[ChatCompletionChunk], client: Client
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The chunks, for as long as they bring something in time.

        An endpoint, or a proxy before it, may keep a connection alive for ever.
        """
        arriving, clock = aiter(chunks), asyncio.get_running_loop().time
        deadline = clock() + self._timeout
        while True:
            try:
                async with client.waiting(deadline):
                    chunk = await anext(arriving)
            except StopAsyncIteration:
                return
            yield chunk
            if _says_something(chunk):
                deadline = clock() + self._timeout

    def _client(self) -> AsyncOpenAI:
        """A client for one event loop. The openai package is imported by now."""
        import httpx2
        import openai

        # Else the error would be about a header, and show the key.
        if self._api_key and not (self._api_key.isascii() and self._api_key.isprintable()):
            raise self._failed("the key has a character that no key has", "check OPENAI_API_KEY")
        # To read the certificates takes longer than all else, so one thread does it for all; a lock
        # that was locked when a process was forked is not this process's.
        with self._reading.setdefault(os.getpid(), threading.Lock()):
            self._tls = self._tls or httpx2.create_ssl_context()
        options: dict[str, Any] = {"verify": self._tls}
        if urlsplit(self._base_url or "").hostname in ("127.0.0.1", "localhost", "::1"):
            # A proxy can't reach this machine's loopback; and a connection there costs nothing to
            # open, so none is kept.
            options |= {"trust_env": False, "limits": httpx2.Limits(max_keepalive_connections=0)}
        return openai.AsyncOpenAI(
            # An endpoint on one's own machine rarely has a key, but the package insists on one.
            api_key=self._api_key or ("none" if self._base_url else None),
            base_url=self._base_url,
            timeout=self._timeout,
            max_retries=self._retries,
            http_client=openai.DefaultAsyncHttpxClient(**options),
        )

    def _error(self, error: Exception, *, begun: bool) -> ModelError:
        """What went wrong and what to do about it, in one line. ``begun``: amid the reply."""
        import httpx2  # what the openai package itself runs on
        import openai

        where = self._base_url or "OpenAI"
        reason = _reason(error)
        match error:
            case ClosedMeanwhile():
                what, advice = "was closed before the reply had ended", "ask again"
            case TimeoutError() | openai.APITimeoutError() if begun:
                what = f"the reply broke off (nothing more in {self._timeout:g} s)"
                advice = "try again or allow more time"
            case openai.APITimeoutError():
                what = f"no answer from {where} in {self._timeout:g} s"
                advice = "try again or allow more time"
            case openai.APIConnectionError():
                cause = _line(error.__cause__ or error)
                what, advice = f"can't reach {where} ({cause})", "check the network and --base-url"
                if begun:
                    what, advice = f"the reply broke off ({cause})", "try again"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                what, advice = f"{where} refuses the key ({reason})", "check OPENAI_API_KEY"
            case openai.NotFoundError():
                what, advice = f"not found at {where} ({reason})", "check the model's name and --base-url"
            case openai.RateLimitError():
                what, advice = f"{where} limits requests ({reason})", "wait, or check the account's quota"
            case openai.APIStatusError(status_code=status):
                what = f"{where} answers {status} ({reason})"
                advice = "try again later" if status >= 500 else "check the request and the model's limits"
            case openai.APIError() | httpx2.HTTPError():  # the latter is let through while a reply is read
                what, advice = f"the reply broke off ({reason})", "try again"
            case openai.OpenAIError() if "Missing credentials" in reason or "api_key" in reason:
                what, advice = "no key", "set OPENAI_API_KEY, or --base-url for an endpoint that needs none"
            case openai.OpenAIError():
                what, advice = reason, "check OPENAI_API_KEY and --base-url"
            case httpx2.InvalidURL():
                what, advice = f"{self._base_url!a} is no address ({reason})", "check --base-url"
            case _:
                what, advice = f"the reply can't be read ({reason})", self._is_it_compatible()
        return self._failed(what, advice)

    def _is_it_compatible(self) -> str:
        return f"check that {self._base_url or 'the endpoint'} is OpenAI-compatible (--base-url)"

    def _failed(self, what: str, advice: str) -> ModelError:
        return ModelError(f"{self.name}: {what}; {advice}")


def _worded(message: Message) -> dict[str, Any]:
    """A turn as the protocol has it."""
    # Without half characters: a file's name may have some, and a model's reply.
    worded: dict[str, Any] = {"role": message.role, "content": _LONE.sub("\ufffd", message.text)}
    if message.answers is not None:
        worded["tool_call_id"] = message.answers
    if message.calls:
        worded["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    return worded


def _extend(calls: dict[int, ToolCall], delta: ChoiceDeltaToolCall) -> None:
    """Add a piece of a tool call to those that have begun."""
    # Some endpoints give every call the index 0, or none: another id is another call.
    at = len(calls) - 1 if delta.index is None else delta.index
    if delta.id and at in calls and calls[at].id != delta.id:
        at = next((known for known, call in calls.items() if call.id == delta.id), len(calls))
    elif not delta.id and at in calls:
        at = max(calls) if delta.index is None else at
    at = max(at, 0)
    begun = calls.get(at) or ToolCall("", "", "")
    function = delta.function
    calls[at] = ToolCall(
        begun.id or delta.id or f"call_{at}",
        begun.name + ((function and function.name) or ""),
        begun.arguments + ((function and function.arguments) or ""),
    )


def _says_something(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk is part of a reply, thoughts that nobody sees among them, and no mere sign of life."""
    return chunk.usage is not None or any(
        choice.delta.content
        or choice.finish_reason
        or choice.delta.tool_calls
        or choice.delta.refusal
        or any((choice.delta.model_extra or {}).values())
        for choice in chunk.choices or ()
    )


async def package() -> Any:
    """The openai package, imported when first needed, off the event loop: it takes most of a second."""
    if "openai" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "openai")
    # Another thread may be amid the import: this waits for it, where sys.modules has half a package.
    return importlib.import_module("openai")


def _reason(error: Exception) -> str:
    """What the endpoint said, without the package's words around it."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    return _line(said or getattr(error, "message", None) or error)


def _line(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _SNIPPET else line[:_SNIPPET] + "..."
