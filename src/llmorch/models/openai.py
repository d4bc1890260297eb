"""Models behind an OpenAI-compatible endpoint: OpenAI, Ollama, vLLM, OpenRouter, Gemini, llama.cpp.

This module decides when such an endpoint is asked again, what of its answer is the reply, and what a person
reads when it fails.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from llmorch.arguments import LONGEST, called, number, positive, text, whole
from llmorch.declare.text import brief
from llmorch.errors import ModelError, ModelUnreachable, ReplyBroken, ToolsRefused, WrongArgument
from llmorch.models.clients import Clients, ClosedMeanwhile, package
from llmorch.models.endpoint import Masking, endpoint_of, header_lines
from llmorch.models.events import LARGEST, Events, TooMuch, event_in
from llmorch.models.model import Finished, ModelRequest, Piece, Text, ToolCall
from llmorch.models.presets import OPENAI, Preset
from llmorch.models.reasons import all_of, said_in
from llmorch.models.reply import ReplyReader, Reported, says_something
from llmorch.models.tries import BrokenOffError, CutShortError, Tries, is_crowded, is_of_server
from llmorch.models.wording import Wording

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from ssl import SSLContext

    from httpx2 import Response
    from openai import AsyncOpenAI

    from llmorch.declare.functions import Kind
    from llmorch.models.clients import Client

    Extra = Callable[[ModelRequest], Mapping[str, object]]

_MOST = 1 << 32
"""Bytes of one answer; of a reply far fewer, as many as its tokens may have."""
_REST = 0.1
"""Seconds to wait for the end of an answer whose reply has ended."""
_NEXT, _FIRST = 120.0, 600.0
"""Seconds in which a reply goes on, and in which it begins."""
_SAID = 1 << 14
"""Characters of an error in which the name of something refused is looked for."""


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    ``base_url`` and ``api_key`` default to OPENAI_BASE_URL and OPENAI_API_KEY, as in the
    openai package, or to what a ``preset`` of another provider says; an endpoint other than OpenAI's own
    needs no key. ``timeout`` is how many
    seconds may pass in which a reply doesn't go on (120), and ``first_token`` how many until it begins: as
    ``timeout`` where only that is given, else 600, for some models think long. ``temperature``, and ``max_tokens``
    of a reply, are asked for instead of what a technique would; ``effort`` is how long a model thinks, as it
    names that (``"low"``). At most ``max_concurrency`` replies are asked for at once, on one event loop.
    ``headers`` are sent with each request, and ``extra`` adds fields to its body.

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
        timeout: float | None = None,
        *,
        first_token: float | None = None,
        retries: int = 2,
        temperature: float | None = None,
        max_tokens: int | None = None,
        effort: str | None = None,
        max_concurrency: int | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Extra | None = None,
        label: str | None = None,
        preset: Preset = OPENAI,
    ) -> None:
        # First, and then forgotten: what is printed with a traceback may have the variables of its frames.
        if not isinstance(preset, Preset):
            raise WrongArgument(
                f'preset is one of llmorch.models.presets, as in PRESETS["groq"], not {brief(preset)}'
            )
        self._endpoint = endpoint_of(base_url, api_key, preset)
        base_url = api_key = None
        text("name", name, "a model's name")
        first_token = (_FIRST if timeout is None else timeout) if first_token is None else first_token
        timeout = _NEXT if timeout is None else timeout
        positive("timeout", timeout, " of seconds", most=LONGEST)
        positive("first_token", first_token, " of seconds", most=LONGEST)
        whole("retries", retries, 0, 100)
        called("extra", extra, "a function of a request")
        for said, given in (("max_tokens", max_tokens), ("max_concurrency", max_concurrency)):
            if given is not None:
                whole(said, given, 1, 10**9)
        if temperature is not None:
            number("temperature", temperature, most=100)
        if effort is not None:
            text("effort", effort)
        self._headers = header_lines(headers)
        self._endpoint.sends(self._headers)
        if label is not None:
            text("label", label)
        prefix = f"{preset.name}:"
        name = name.removeprefix(prefix)
        self.name = label or prefix + name
        self._timeout = timeout
        self._first = first_token
        self._retries = retries
        self._extra = extra
        self._wording = Wording(
            name, preset.without, temperature=temperature, max_tokens=max_tokens, effort=effort
        )
        self._tls: SSLContext | None = None
        self._reading: dict[int, threading.Lock] = {}
        self._clients = Clients(self._client, max_concurrency)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, {self._endpoint.shown!r})"

    @property
    def calls_tools(self) -> bool:
        return self._wording.calls_tools

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Reply to ``request``, piece by piece. What breaks before the first is asked again."""
        failed: ModelError | None = None
        await package()
        said = begun = False
        try:
            client = await self._clients.mine()
            tries = Tries(self._retries)
            while failed is None:
                begun = False
                try:
                    async with client.turn():
                        async with client.waiting():
                            response = await self._ask(request, client)
                        begun = True
                        try:
                            async with aclosing(self._read(request, response, client)) as pieces:
                                async for piece in pieces:
                                    said = True
                                    yield piece
                        finally:
                            await response.aclose()
                        client.throttle.answered()
                        return
                except CutShortError:
                    if said or not self._wording.allow_more():
                        raise self._failed(
                            "the reply was cut off after its thoughts", "allow more tokens"
                        ) from None
                except Exception as error:
                    crowded = is_crowded(error) and not client.throttle.alone
                    if said or not tries.again(error, crowded=crowded):
                        raise
                    if crowded:
                        client.throttle.refused()
                    async with client.waiting():
                        await asyncio.sleep(0.0 if crowded else tries.pause(error))
        except (ModelError, GeneratorExit):
            raise
        except Exception as error:
            failed = self._error(error, begun=begun, said=said)
            # A traceback prints what an error comes from, so not one that quotes the key.
            failed.__cause__ = None if self._endpoint.quoted_by(error) else error
        if failed is not None:  # here, where it comes from nothing by itself
            raise failed

    async def close(self) -> None:
        """End the connections of all event loops; a later ``stream`` opens new ones."""
        await self._clients.close()

    async def _ask(self, request: ModelRequest, client: Client) -> Response:
        """Send the request, and again as the endpoint takes it where it says what it doesn't take."""
        import httpx2

        from llmorch.models.transport import keep_from_logs

        openai = await package()
        how: dict[str, Any] = {"stream": True, "stream_cls": openai.AsyncStream, "cast_to": httpx2.Response}
        while True:
            more = dict(self._extra(request)) if self._extra else {}
            self._endpoint.sends(more)
            body = self._wording.body(request) | more
            keep_from_logs(self._endpoint.secrets())
            try:
                # Not as the package's objects: it reads an event of any size, and makes one of every part.
                response: Response = await client.api.post("/chat/completions", body=body, **how)
            except openai.APIStatusError as error:
                reason = f"{self._reason(error)} {all_of(error.body)[:_SAID]}"
                unrelated = error.status_code in (401, 402, 403, 429)
                if error.status_code in (400, 422) and self._wording.adapt(reason, body):
                    continue
                # Endpoints say so with 400, 404, 422 or 500, and all of them name the tools.
                asked_before = any(message.calls for message in request.messages)
                if not request.tools or unrelated or asked_before or not self._wording.refuses_tools(reason):
                    raise
                reason = self._reason(error)
                break
            else:
                return response
        raise ToolsRefused(f"{self.name}: takes no tools ({reason})")  # and not from an error with the key

    async def _read(
        self, request: ModelRequest, response: Response, client: Client
    ) -> AsyncGenerator[Piece, None]:
        wording = self._wording
        reply = ReplyReader(wording.max_tokens(request), [tool.name for tool in request.tools])
        masking = Masking(self._endpoint.secrets())
        async for chunk in self._chunks(response, reply, client):
            for piece in reply.take(chunk):
                if bare := masking.feed(piece):
                    yield Text(bare)
        chunk = {}  # as with the key: a refusal that quotes it becomes an error here
        if bare := masking.feed(reply.rest()) + masking.rest():
            yield Text(bare)
        if reply.refusal or reply.withheld:
            said = (
                f"refused to answer: {self._endpoint.line(reply.refusal)}"
                if reply.refusal
                else "the endpoint's filter withheld the reply"
            )
            raise self._failed(said, "word the query differently or use another model")
        if not reply.heard:  # such as a web page
            raise self._failed("no reply in what arrived", self._is_it_compatible())
        if reply.reason is None:
            raise BrokenOffError
        if reply.broken:
            raise Reported(f"the endpoint ended it with {reply.broken}")
        calls = reply.calls()
        if reply.cut_off and not reply.length and not calls:
            raise CutShortError
        length = reply.length
        wording.remember(calls, reply.thought)
        for call, _ in calls:
            length += len(call.arguments)
            yield ToolCall(*map(masking.masked, (call.id, call.name, call.arguments)))
        # Not every endpoint counts; four characters a token is close enough to add up.
        read, written = reply.input_tokens, reply.output_tokens
        read = sum(len(message.text) for message in request.messages) // 4 if read is None else read
        written = length // 4 if written is None else written
        notes = tuple(f"{self.name}: {note}" for note in wording.notes)
        yield Finished("length" if reply.cut_off else "stop", read, written, notes)

    async def _chunks(
        self, response: Response, reply: ReplyReader, client: Client
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a reply, for as long as they bring something in time.

        An endpoint, or a proxy before it, may keep a connection alive for ever.
        """
        import httpx2

        events, clock = Events(), asyncio.get_running_loop().time
        deadline = clock() + self._first
        reply.whole = "json" in response.headers.get("Content-Type", "")
        body = bytearray()
        async with aclosing(response.aiter_bytes()) as arriving:
            while not events.done:
                try:
                    async with client.waiting(deadline):
                        piece = await anext(arriving)
                except StopAsyncIteration:
                    if body:
                        yield event_in(bytes(body))
                    return
                reply.count(len(piece))
                if reply.whole:
                    body += piece
                    if len(body) > LARGEST:
                        raise TooMuch(f"has more than {LARGEST:,} bytes in one piece")
                    continue
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

        preset = self._endpoint.preset
        if lacks := self._endpoint.lacks:
            raise self._failed("no address" if lacks == preset.at else "no key", f"set {lacks}")
        # Else the error would be about a header, and show the key.
        if not (self._endpoint.key.isascii() and self._endpoint.key.isprintable()):
            raise self._failed("the key has a character that no key has", f"check {preset.key or 'api_key'}")
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
            # Azure wants a key of its own in another header than all others.
            default_headers=self._headers
            | ({"api-key": self._endpoint.key} if preset.name == "azure" else {}),
            timeout=httpx2.Timeout(self._first, connect=min(self._first, self._timeout)),
            max_retries=0,  # of the package's own: it doesn't know what else is asked meanwhile
            http_client=BoundedClient(patience=self._first, most=_MOST, **options),
        )

    def _error(self, error: Exception, *, begun: bool, said: bool) -> ModelError:
        """What went wrong and what to do about it, in one line.

        ``begun``: amid the answer, ``said``: amid the reply.
        """
        import httpx2  # what the openai package itself runs on
        import openai

        where, key = self._endpoint.shown, self._endpoint.preset.key or "api_key"
        reason = self._reason(error)
        match error:
            case ClosedMeanwhile():
                what, advice = "was closed before the reply had ended", "ask again"
            case TimeoutError() | httpx2.TimeoutException() if begun:
                what = f"the reply broke off (nothing more in {self._timeout if said else self._first:g} s)"
                advice = "try again or allow more time"
            case openai.APITimeoutError():
                what = f"no answer from {where} in {self._first:g} s"
                advice = "try again or allow more time"
            case openai.APIConnectionError():
                cause = self._endpoint.line(error.__cause__ or error)
                what, advice = f"can't reach {where} ({cause})", "check the network and --base-url"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                what, advice = f"{where} refuses the key ({reason})", f"check {key}"
            case openai.NotFoundError():
                what, advice = f"not found at {where} ({reason})", "check the model's name and --base-url"
            case openai.RateLimitError():
                what, advice = f"{where} limits requests ({reason})", "wait, or check the account's quota"
            case openai.APIStatusError(status_code=status):
                what = f"{where} answers {status} ({reason})"
                advice = "try again later" if status >= 500 else "check the request and the model's limits"
            case TooMuch():
                what, advice = f"the reply {reason}", "use another model"
            case BrokenOffError():
                return ReplyBroken(f"{self.name}: the reply broke off; try again")
            case Reported():
                what, advice = f"the reply broke off ({reason})", "try again"
            case httpx2.HTTPError() if not isinstance(error, httpx2.DecodingError):
                why = f" ({reason})" if reason else ""
                return ReplyBroken(f"{self.name}: the reply broke off{why}; try again")
            case openai.OpenAIError() if "Missing credentials" in reason or "api_key" in reason:
                what, advice = "no key", f"set {key}, or --base-url for an endpoint that needs none"
            case openai.OpenAIError():
                what, advice = reason, f"check {key} and --base-url"
            case httpx2.InvalidURL():
                # Which part of it is wrong may be a part of a password.
                which = "" if "@" in where else f" ({reason})"
                what, advice = f"{where!a} is no address{which}", "check --base-url"
            case _:
                what, advice = f"the reply can't be read ({reason})", self._is_it_compatible()
        kind = ModelUnreachable if is_of_server(error) else ModelError
        return kind(f"{self.name}: {what}; {advice}")

    def _reason(self, error: Exception) -> str:
        """What the endpoint said, without the package's words around it."""
        said = said_in(getattr(error, "body", None))
        return self._endpoint.line(said or getattr(error, "message", None) or error)

    def _is_it_compatible(self) -> str:
        return f"check that {self._endpoint.shown} is OpenAI-compatible (--base-url)"

    def _failed(self, what: str, advice: str) -> ModelError:
        return ModelError(f"{self.name}: {what}; {advice}")
