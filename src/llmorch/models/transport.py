"""The HTTP client for endpoints: what an answer may take, in bytes and in time, whatever it is packed in.

httpx reads an answer to its end and unpacks it to whatever size. Here every answer is unpacked
and counted piece by piece, in this one place. It is imported when the first client is made, for
httpx takes its time.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import httpx2
import openai

from llmorch.declare.secrets import masked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator

_PIECE = 1 << 16
_SAID = 1 << 16
"""Bytes that are read of an answer that is no reply: an error, or a redirection."""
_PARTS = ("connection", "http11", "http2", "proxy", "socks")
"""What httpcore logs under names of their own."""
_PACKED = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """A client whose answers begin within ``patience`` seconds and are at most ``most`` bytes.

    Of an error only the beginning is read, and for no longer than that.
    """

    def __init__(self, *, patience: float, most: int, **options: Any) -> None:
        super().__init__(event_hooks={"response": [self._bind]}, **options)
        self.headers["Accept-Encoding"] = "identity"  # a reply of a few tokens is not worth the packing
        self._patience = patience
        self._most = most

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """As httpx does it. Time and again a byte, or a redirection, is no answer: it ends in time."""
        try:
            async with asyncio.timeout(self._patience):
                response = await super().send(request, stream=True, **options)
        except TimeoutError:
            raise httpx2.ReadTimeout("no answer in time", request=request) from None
        if not stream:
            await response.aread()
        return response

    async def _bind(self, response: httpx2.Response) -> None:
        stream = cast("httpx2.AsyncByteStream", response.stream)
        packing = response.headers.pop("Content-Encoding", "identity").strip().lower()
        response.encoding = "utf-8"  # not what it says: Python's codecs unpack, too
        if response.is_redirect and (to := response.headers.get("Location")):
            asked = response.request.url
            if _origin(asked.join(to)) not in (
                _origin(asked),
                _origin(asked.copy_with(scheme="https", port=None)),
            ):
                raise httpx2.UnsupportedProtocol(
                    f"it redirects to {_origin(asked.join(to))[1]}, which isn't asked: name that address",
                    request=response.request,
                )
        if response.is_success:
            response.stream = _Bounded(stream, packing, self._most)
        else:
            response.stream = _Beginning(stream, packing, self._patience)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Where a request goes: what it has in it is for nobody else."""
    return url.scheme, url.host, url.port


class _Bounded(httpx2.AsyncByteStream):
    """An answer's bytes, unpacked; too many are a ``DecodingError``."""

    def __init__(self, stream: httpx2.AsyncByteStream, packing: str, most: int) -> None:
        self._stream = stream
        self._packing = packing
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(_unpacked(self._stream, self._packing, self._most)) as pieces:
            async for piece in pieces:
                yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Beginning(_Bounded):
    """The beginning of what an error says, or as much as can be read of it in time."""

    def __init__(self, stream: httpx2.AsyncByteStream, packing: str, patience: float) -> None:
        super().__init__(stream, packing, _SAID)
        self._deadline = asyncio.get_running_loop().time() + patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(_unpacked(self._stream, self._packing, self._most)) as pieces:
            while True:
                try:
                    async with asyncio.timeout_at(self._deadline):
                        piece = await anext(pieces)
                except (StopAsyncIteration, TimeoutError, httpx2.HTTPError):
                    return
                yield piece


async def _unpacked(stream: httpx2.AsyncByteStream, packing: str, most: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a stream as they were before they were packed, never many at once, and no more than ``most``."""
    if packing not in _PACKED and packing not in ("identity", ""):
        raise httpx2.DecodingError(f"it is packed as {packing[:40]!r}, which nobody asked for")
    unpacker = zlib.decompressobj(_PACKED[packing]) if packing in _PACKED else None
    arrived = given = 0
    async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(stream))) as pieces:
        async for piece in pieces:
            arrived += len(piece)
            for unpacked in [piece] if unpacker is None else _inflated(unpacker, piece):
                yield unpacked[: most - given]
                given += len(unpacked)
                if given > most:
                    break
                await asyncio.sleep(0)  # a little may become a lot: deadlines hold meanwhile
            if given > most or arrived > most:
                raise httpx2.DecodingError(f"more than {most:,} bytes")
            if unpacker is not None and unpacker.eof:
                return


def _inflated(unpacker: Any, piece: bytes) -> Iterator[bytes]:
    """What a piece of packed bytes unpacks to, in pieces."""
    try:
        while (unpacked := unpacker.decompress(piece, _PIECE)) or unpacker.unconsumed_tail:
            yield unpacked
            piece = unpacker.unconsumed_tail
    except zlib.error as error:
        raise httpx2.DecodingError(str(error)) from None


class _WithoutSecrets(logging.Filter):
    """The packages below log addresses, what is sent and what an answer's headers say: all may have a key in them."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, None] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # Not from the arguments: of a nested one, it is its text that has the key.
        text = record.getMessage()
        bare = masked(text, self.secrets)
        if bare != text:
            record.msg, record.args = bare, None
        return True


_without = _WithoutSecrets()
for _name in ("openai._base_client", "httpx2", *(f"httpcore2.{part}" for part in _PARTS)):
    logging.getLogger(_name).addFilter(
        _without
    )  # one by one: a logger's filter is not asked for those below it


def keep_from_logs(secrets: Collection[str]) -> None:
    """Have nothing logged of requests and answers with these in it; the longest come first."""
    if not _without.secrets.keys() >= {*secrets}:
        _without.secrets = dict.fromkeys(sorted({*_without.secrets, *secrets}, key=len, reverse=True))
