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
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from llmorch.arguments import LONGEST, called, positive, text, whole
from llmorch.errors import ModelError, ToolsRefused
from llmorch.models.clients import Clients, ClosedMeanwhile
from llmorch.models.endpoint import Masking, endpoint_of
from llmorch.models.events import Events, TooMuch
from llmorch.models.model import Finished, Message, ModelRequest, Piece, Text, ToolCall
from llmorch.models.reply import ReplyReader, Reported, says_something

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from ssl import SSLContext

    from httpx2 import Response
    from openai import AsyncOpenAI

    from llmorch.declare.functions import Kind
    from llmorch.models.clients import Client

    Extra = Callable[[ModelRequest], Mapping[str, object]]

# What may be left out when an endpoint refuses it: newer models take no temperature, some
# endpoints no seed, and old ones don't know the option that asks for the usage.
_OPTIONAL = ("temperature", "seed", "stream_options", "stop")
_PREFIX = "openai:"
_LONE = re.compile("[\\ud800-\\udfff]")
_MOST = 1 << 32
"""Bytes of one answer; of a reply far fewer, as many as its tokens may have."""
_REST = 0.1
"""Seconds to wait for the end of an answer whose reply has ended."""


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
        # First, and then forgotten: what is printed with a traceback may have the variables of its frames.
        self._endpoint = endpoint_of(base_url, api_key)
        base_url = api_key = None
        text("name", name, "a model's name")
        positive("timeout", timeout, " of seconds", most=LONGEST)
        whole("retries", retries, 0, 100)
        called("extra", extra, "a function of a request")
        if label is not None:
            text("label", label)
        self._model = name.removeprefix(_PREFIX)
        self.name = label or _PREFIX + self._model
        self._timeout = timeout
        self._retries = retries
        self._extra = extra
        self._limit = "max_tokens"
        self._refused: set[str] = set()
        self._tls: SSLContext | None = None
        self._reading: dict[int, threading.Lock] = {}
        self._clients = Clients(self._client)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, {self._endpoint.shown!r})"

    @property
    def calls_tools(self) -> bool:
        return "tools" not in self._refused

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Reply to ``request``, piece by piece."""
        failed: ModelError | None = None
        await package()
        begun = False
        try:
            client = await self._clients.mine()
            async with client.waiting():
                response = await self._ask(request, client)
            try:
                async with aclosing(self._read(request, response, client)) as pieces:
                    begun = True
                    async for piece in pieces:
                        yield piece
            finally:
                await response.aclose()
        except ModelError:
            raise
        except Exception as error:
            failed = self._error(error, begun=begun)
            # A traceback prints what an error comes from, so not one that quotes the key.
            failed.__cause__ = None if self._endpoint.quoted_by(error) else error
        if failed is not None:  # here, where it comes from nothing by itself
            raise failed

    async def close(self) -> None:
        """End the connections of all event loops; a later ``stream`` opens new ones."""
        await self._clients.close()

    async def _ask(self, request: ModelRequest, client: Client) -> Response:
        """Send the request, and again without what the endpoint turns out to refuse."""
        import httpx2

        from llmorch.models.transport import keep_from_logs

        openai = await package()
        how: dict[str, Any] = {"stream": True, "stream_cls": openai.AsyncStream, "cast_to": httpx2.Response}
        while True:
            body = self._body(request)
            keep_from_logs(self._endpoint.secrets())
            try:
                # Not as the package's objects: it reads an event of any size, and makes one of every part.
                response: Response = await client.api.post("/chat/completions", body=body, **how)
            except openai.APIStatusError as error:
                reason = self._reason(error)
                # Endpoints say so with 400, 404, 422 or 500, and all of them name the tools.
                asked_before = any(message.calls for message in request.messages)
                unrelated = error.status_code in (401, 403, 429) or asked_before
                if request.tools and not unrelated and "tool" in reason.lower():
                    self._refused.add("tools")
                    break
                if error.status_code not in (400, 422) or not self._adapt(reason, body):
                    raise
            else:
                return response
        raise ToolsRefused(f"{self.name}: takes no tools ({reason})")  # and not from an error with the key

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
        more = dict(self._extra(request)) if self._extra else {}
        self._endpoint.sends(more)
        return {
            "model": self._model,
            "messages": [_worded(message) for message in request.messages],
            "stream": True,
            self._limit: request.max_tokens,
            **{field: value for field, value in optional.items() if field not in self._refused},
            **more,
        }

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
        self, request: ModelRequest, response: Response, client: Client
    ) -> AsyncGenerator[Piece, None]:
        reply, masking = ReplyReader(request.max_tokens), Masking(self._endpoint.secrets())
        async for chunk in self._chunks(response, reply, client):
            for piece in reply.take(chunk):
                if bare := masking.feed(piece):
                    yield Text(bare)
        chunk = {}  # as with the key: a refusal that quotes it becomes an error here
        if bare := masking.rest():
            yield Text(bare)
        if reply.refusal or reply.reason == "content_filter":
            said = (
                f"refused to answer: {self._endpoint.line(reply.refusal)}"
                if reply.refusal
                else "the endpoint's filter withheld the reply"
            )
            raise self._failed(said, "word the query differently or use another model")
        if not reply.heard:  # such as a web page
            raise self._failed("no reply in what arrived", self._is_it_compatible())
        if reply.reason is None:
            raise self._failed("the reply broke off", "try again")
        length = reply.length
        for call in reply.calls():
            length += len(call.arguments)
            yield ToolCall(*map(masking.masked, (call.id, call.name, call.arguments)))
        # Not every endpoint counts; four characters a token is close enough to add up.
        read, written = reply.input_tokens, reply.output_tokens
        read = sum(len(message.text) for message in request.messages) // 4 if read is None else read
        written = length // 4 if written is None else written
        yield Finished("length" if reply.reason == "length" else "stop", read, written)

    async def _chunks(
        self, response: Response, reply: ReplyReader, client: Client
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a reply, for as long as they bring something in time.

        An endpoint, or a proxy before it, may keep a connection alive for ever.
        """
        import httpx2

        events, clock = Events(), asyncio.get_running_loop().time
        deadline = clock() + self._timeout
        async with aclosing(response.aiter_bytes()) as arriving:
            while not events.done:
                try:
                    async with client.waiting(deadline):
                        piece = await anext(arriving)
                except StopAsyncIteration:
                    return
                reply.count(len(piece))
                for chunk in events.feed(piece):
                    if says_something(chunk):
                        deadline = clock() + self._timeout
                    yield chunk
            # A connection is used again if its answer was read to the end, which is all but there.
            with suppress(TimeoutError, httpx2.HTTPError, TooMuch):
                async with asyncio.timeout(_REST):
                    while piece := await anext(arriving, b""):
                        reply.count(len(piece))

    def _client(self) -> AsyncOpenAI:
        """A client for one event loop. The openai package is imported by now."""
        import httpx2
        import openai

        from llmorch.models.transport import BoundedClient

        # Else the error would be about a header, and show the key.
        if not (self._endpoint.key.isascii() and self._endpoint.key.isprintable()):
            raise self._failed("the key has a character that no key has", "check OPENAI_API_KEY")
        # To read the certificates takes longer than all else, so one thread does it for all; a lock
        # that was locked when a process was forked is not this process's.
        with self._reading.setdefault(os.getpid(), threading.Lock()):
            self._tls = self._tls or httpx2.create_ssl_context()
        where = self._endpoint.where()
        options: dict[str, Any] = {"verify": self._tls, "auth": self._endpoint.auth()}
        if self._endpoint.loopback:
            # A proxy can't reach this machine's loopback; and a connection there costs nothing to
            # open, so none is kept.
            options |= {"trust_env": False, "limits": httpx2.Limits(max_keepalive_connections=0)}
        return openai.AsyncOpenAI(
            **where,
            # An endpoint on one's own machine rarely has a key, but the package insists on one.
            api_key=self._endpoint.key or ("none" if self._endpoint.address else None),
            timeout=self._timeout,
            max_retries=self._retries,
            http_client=BoundedClient(patience=self._timeout, most=_MOST, **options),
        )

    def _error(self, error: Exception, *, begun: bool) -> ModelError:
        """What went wrong and what to do about it, in one line. ``begun``: amid the reply."""
        import httpx2  # what the openai package itself runs on
        import openai

        where = self._endpoint.shown
        reason = self._reason(error)
        match error:
            case ClosedMeanwhile():
                what, advice = "was closed before the reply had ended", "ask again"
            case TimeoutError() | httpx2.TimeoutException() if begun:
                what = f"the reply broke off (nothing more in {self._timeout:g} s)"
                advice = "try again or allow more time"
            case openai.APITimeoutError():
                what = f"no answer from {where} in {self._timeout:g} s"
                advice = "try again or allow more time"
            case openai.APIConnectionError():
                cause = self._endpoint.line(error.__cause__ or error)
                what, advice = f"can't reach {where} ({cause})", "check the network and --base-url"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                what, advice = f"{where} refuses the key ({reason})", "check OPENAI_API_KEY"
            case openai.NotFoundError():
                what, advice = f"not found at {where} ({reason})", "check the model's name and --base-url"
            case openai.RateLimitError():
                what, advice = f"{where} limits requests ({reason})", "wait, or check the account's quota"
            case openai.APIStatusError(status_code=status):
                what = f"{where} answers {status} ({reason})"
                advice = "try again later" if status >= 500 else "check the request and the model's limits"
            case TooMuch():
                what, advice = f"the reply {reason}", "use another model"
            case Reported() | httpx2.HTTPError() if not isinstance(error, httpx2.DecodingError):
                what, advice = f"the reply broke off ({reason})", "try again"
            case openai.OpenAIError() if "Missing credentials" in reason or "api_key" in reason:
                what, advice = "no key", "set OPENAI_API_KEY, or --base-url for an endpoint that needs none"
            case openai.OpenAIError():
                what, advice = reason, "check OPENAI_API_KEY and --base-url"
            case httpx2.InvalidURL():
                # Which part of it is wrong may be a part of a password.
                which = "" if "@" in where else f" ({reason})"
                what, advice = f"{where!a} is no address{which}", "check --base-url"
            case _:
                what, advice = f"the reply can't be read ({reason})", self._is_it_compatible()
        return self._failed(what, advice)

    def _reason(self, error: Exception) -> str:
        """What the endpoint said, without the package's words around it."""
        body = getattr(error, "body", None)
        said = body.get("message") if isinstance(body, dict) else None
        return self._endpoint.line(said or getattr(error, "message", None) or error)

    def _is_it_compatible(self) -> str:
        return f"check that {self._endpoint.shown} is OpenAI-compatible (--base-url)"

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


async def package() -> Any:
    """The openai package, imported when first needed, off the event loop: it takes most of a second."""
    if "openai" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "openai")
    # Another thread may be amid the import: this waits for it, where sys.modules has half a package.
    return importlib.import_module("openai")
