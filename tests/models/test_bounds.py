"""Endpoints that never come to an end: every answer ends at a bound, with one line that says so."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import json
import sys
import time
import zlib
from contextlib import asynccontextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.errors import ModelError
from llmorch.models.model import Finished, Message, ModelRequest, Piece, Text, ToolCall
from llmorch.models.openai import OpenAIModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator

pytestmark = pytest.mark.anyio

MEMORY = 100 << 20
SECONDS = 15.0
PATIENCE = 1.0
ASKED = ModelRequest((Message("user", "Hello?"),), max_tokens=50)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
END = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
ZEROS = bytes(1 << 16)
COMMENTS = (b": here" * 20 + b"\n\n") * 20_000


def chunk(delta: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """An event of a stream."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
    return b"data: " + json.dumps({"id": "1", "choices": choices, **fields}).encode() + b"\n\n"


def forever(*pieces: bytes | float) -> Iterator[bytes | float]:
    """Each piece, and the last one again and again."""
    yield from pieces[:-1]
    while True:
        yield pieces[-1]


def drip(*pieces: bytes) -> Iterator[bytes | float]:
    """The last piece again and again, every now and then."""
    for piece in forever(*pieces):
        yield piece
        yield PATIENCE / 5


def head(**headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}Connection: close\r\n\r\n".encode()


def packed(pieces: Iterable[bytes], how: str) -> Iterator[bytes]:
    """Pieces, packed as they come."""
    packer = zlib.compressobj(9, wbits={"gzip": 31, "deflate": 15}[how])
    for piece in pieces:
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


@cache
def _block(content: bytes, how: str) -> tuple[bytes, bytes]:
    """How a packed stream begins, and a piece of it that unpacks to this any number of times."""
    packer = zlib.compressobj(9, wbits={"gzip": 31, "deflate": 15}[how])
    return tuple(packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))  # type: ignore[return-value]


def bomb(content: bytes, how: str) -> Iterator[bytes | float]:
    """A thousand times smaller than what it unpacks to, which is without end."""
    return forever(*_block(content, how))


def refused(status: int, body: Iterable[bytes | float], **headers: str) -> Iterator[bytes | float]:
    yield head(**headers).replace(b"200 OK", f"{status} No".encode())
    yield from body


@asynccontextmanager
async def serving(answer: Callable[[], Iterable[bytes | float]]) -> AsyncGenerator[str, None]:
    """An endpoint that says this to whoever asks, for as long as somebody listens. A number is a pause."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in answer():
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    writer.write(piece)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        server.close()


def _peak() -> int:
    """The most memory that this process had since ``_forget``."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) << 10


def _forget() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def ask(url: str, request: ModelRequest = ASKED) -> list[Piece]:
    model = OpenAIModel("m", url, "k", timeout=PATIENCE, retries=0)
    try:
        return [piece async for piece in model.stream(request)]
    finally:
        await model.close()


@pytest.fixture
async def within_bounds(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Time and memory of a test. What is imported and started once doesn't count."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    async with serving(lambda: [HEAD, chunk({"content": "yes"}), END]) as url:
        await ask(url)
    measured = sys.platform == "linux"
    before = 0
    if measured:
        _forget()
        before = _peak()
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SECONDS
    if measured:
        assert _peak() - before < MEMORY


def calls(count: int) -> Iterator[bytes]:
    return (chunk({"tool_calls": [CALL | {"index": at, "id": f"{at}"}]}) for at in range(count))


CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
EVENT = r"the reply has an event of more than 1,048,576 bytes; use another model"
MUTE = r"the reply goes on and on without a word; use another model"
SILENT = r"the reply broke off \(nothing more in 1 s\)"


ENDLESS: dict[str, tuple[Callable[[], Iterable[bytes | float]], str]] = {
    "a line without end": (lambda: forever(HEAD, b"data: ", b"x" * 65536), EVENT),
    "a body without a line": (lambda: forever(HEAD, ZEROS), EVENT),
    "a body of 10 GB": (lambda: forever(head(Content_Length=str(10**10)), ZEROS), EVENT),
    "an event of lines without end": (lambda: forever(HEAD, b"data: x\n" * 8000), EVENT),
    "an id of 10 MB": (lambda: [HEAD, b"id: " + b"x" * 10**7, b"\n\n", END], EVENT),
    "comments": (lambda: forever(HEAD, b": still here\n\n" * 4000), "more bytes than 50 tokens"),
    "empty lines": (lambda: forever(HEAD, b"\n" * 65536), "more bytes than 50 tokens|nothing more in 1 s"),
    "chunks of nothing": (lambda: forever(HEAD, chunk() * 100), MUTE),
    "text": (lambda: forever(HEAD, chunk({"content": "x" * 500}) * 10), "more text than 50 tokens"),
    "reasoning": (lambda: forever(HEAD, chunk({"reasoning": "x" * 100})), "more bytes than 50 tokens"),
    "reasoning in large chunks": (
        lambda: forever(HEAD, chunk({"reasoning": "x" * 900_000})),
        "more bytes than 50 tokens",
    ),
    "a refusal": (lambda: forever(HEAD, chunk({"refusal": "x" * 100})), MUTE),
    "the arguments of a call": (
        lambda: forever(
            HEAD,
            chunk({"tool_calls": [CALL]}),
            chunk({"tool_calls": [CALL | {"function": {"arguments": "x" * 90}}]}),
        ),
        MUTE,
    ),
    "the name of a call": (
        lambda: forever(HEAD, chunk({"tool_calls": [CALL | {"function": {"name": "x" * 90}}]})),
        MUTE,
    ),
    "calls": (
        lambda: forever(
            HEAD, *(chunk({"tool_calls": [CALL | {"index": i, "id": f"{i}"}]}) for i in range(1000))
        ),
        MUTE,
    ),
    "calls in one event": (lambda: [HEAD, chunk({"tool_calls": [{}] * 200_000}), END], MUTE),
    "choices in one event": (lambda: [HEAD, chunk(choices=[{}] * 200_000), END], MUTE),
    "an id of a call": (lambda: [HEAD, chunk({"tool_calls": [CALL | {"id": "x" * 10**6}]}), END], MUTE),
    "nested": (
        lambda: [HEAD, b"data: " + b"[" * 100_000 + b"]" * 100_000 + b"\n\n", END],
        "can't be read .an event that is nested too deeply",
    ),
    "objects nested": (
        lambda: [HEAD, b"data: " + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n\n", END],
        "can't be read .an event that is nested too deeply",
    ),
    "a million digits": (
        lambda: [HEAD, b'data: {"usage": {"prompt_tokens": ' + b"9" * 10**6 + b"}}\n\n", END],
        "can't be read .Exceeds the limit",
    ),
    "no byte more": (lambda: [HEAD, 30.0], SILENT),
    "gzip": (lambda: chain([head(Content_Encoding="gzip")], bomb(ZEROS * 100, "gzip")), EVENT),
    "deflate": (
        lambda: chain([head(Content_Encoding="deflate")], bomb(ZEROS * 100, "deflate")),
        EVENT,
    ),
    "gzip of comments": (
        lambda: chain([head(Content_Encoding="gzip")], bomb(COMMENTS, "gzip")),
        "more bytes than 50 tokens",
    ),
    "gzip in gzip": (lambda: forever(head(Content_Encoding="gzip, gzip"), ZEROS), "packed as 'gzip, gzip'"),
    "br": (lambda: forever(head(Content_Encoding="br"), ZEROS), "packed as 'br', which nobody asked for"),
    "zstd": (lambda: forever(head(Content_Encoding="zstd"), ZEROS), "packed as 'zstd'"),
    "no gzip": (lambda: forever(head(Content_Encoding="gzip"), ZEROS), "can't be read .Error -3"),
    "a gzip header without end": (
        lambda: forever(head(Content_Encoding="gzip"), b"\x1f\x8b\x08\x08" + bytes(6), b"x" * 65536),
        SILENT,
    ),
    "headers": (lambda: forever(b"HTTP/1.1 200 OK\r\n", b"X-More: yes\r\n" * 100), "can't reach"),
    "a header": (lambda: forever(b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * 1000), "can't reach"),
    "promises of an answer": (
        lambda: forever(b"HTTP/1.1 102 Wait\r\n\r\n"),
        r"no answer from http://127.0.0.1:\d+/v1 in 1 s",
    ),
    "redirections": (
        lambda: refused(307, [], Location="/v1/again", Content_Length="0"),
        r"can't reach .* \(Exceeded maximum allowed redirects",
    ),
    "a redirection that goes on": (
        lambda: refused(307, forever(ZEROS), Location="/v1/again"),
        "can't reach|no answer",
    ),
}


@pytest.mark.usefixtures("within_bounds")
@pytest.mark.parametrize("case", ENDLESS)
async def test_what_never_ends_ends_at_a_bound(case: str) -> None:
    answer, expected = ENDLESS[case]
    async with serving(answer) as url:
        with pytest.raises(ModelError, match=expected) as caught:
            await ask(url)
    assert str(caught.value).startswith("openai:m: ")
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


NOISE = "<html>\x1b[31mno\x07\r\n\u202egnal\x9b2J</html>"
REFUSALS: dict[str, tuple[Callable[[], Iterable[bytes | float]], str]] = {
    "a text of 1 GB": (lambda: refused(500, forever(ZEROS)), "answers 500"),
    "a message of 1 GB": (
        lambda: refused(400, forever(b'{"error": {"message": "', b"x" * 65536)),
        "answers 400",
    ),
    "a message of 60 kB": (
        lambda: refused(400, [json.dumps({"error": {"message": "x" * 60_000}}).encode()]),
        "answers 400 .x{300}[.]{3}.;",
    ),
    "a message for a terminal": (
        lambda: refused(400, [json.dumps({"error": {"message": NOISE}}).encode()]),
        r"answers 400 \(<html> \[31mno gnal 2J</html>\)",
    ),
    "a page": (lambda: refused(502, [NOISE.encode()]), "answers 502 .a web page.;"),
    "no object": (lambda: refused(400, [b"[" * 30_000]), "answers 400"),
    "a message that is none": (
        lambda: refused(400, [json.dumps({"error": {"message": [["x" * 90]] * 600}}).encode()]),
        "answers 400",
    ),
    "gzip": (
        lambda: refused(500, bomb(ZEROS * 100, "gzip"), Content_Encoding="gzip"),
        "answers 500",
    ),
    "br": (lambda: refused(500, forever(ZEROS), Content_Encoding="br"), "answers 500"),
    "a drip": (lambda: refused(429, drip(b"x")), "limits requests"),
    "a drip in a header": (lambda: drip(HEAD[:-2] + b"X: ", b"x"), "no answer from .* in 1 s"),
    "a drip of an event": (lambda: drip(HEAD, b"x"), SILENT),
    "a drip of comments": (lambda: drip(HEAD, b": here\n\n"), SILENT),
    "a drip of chunks without anything": (lambda: drip(HEAD, chunk({"content": ""})), SILENT),
}


@pytest.mark.usefixtures("within_bounds")
@pytest.mark.parametrize("case", REFUSALS)
async def test_what_an_error_says_is_read_to_a_bound_and_in_time(case: str) -> None:
    answer, expected = REFUSALS[case]
    async with serving(answer) as url:
        with pytest.raises(ModelError, match=expected) as caught:
            await ask(url)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


async def test_while_an_endpoint_pours_others_are_served() -> None:
    """An event loop that reads a bomb goes on with all else."""
    pauses: list[float] = []

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - before)

    beating = asyncio.ensure_future(beat())
    async with serving(lambda: chain([head(Content_Encoding="gzip")], bomb(COMMENTS, "gzip"))) as url:
        with pytest.raises(ModelError, match="more bytes than"):
            await ask(url)
    beating.cancel()
    assert max(pauses) < 1


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({"prompt_tokens": -7, "completion_tokens": 3}, (1, 3)),
        ({"prompt_tokens": 10**100, "completion_tokens": "3"}, (1, 2)),
        ({"prompt_tokens": True, "completion_tokens": None}, (1, 2)),
        ({"prompt_tokens": 1.5, "completion_tokens": [3]}, (1, 2)),
        ("many", (1, 2)),
        ([7, 3], (1, 2)),
    ],
)
async def test_figures_of_usage_that_are_none_are_estimated(usage: Any, expected: tuple[int, int]) -> None:
    answer = [HEAD, chunk({"content": "eight ch"}), chunk(usage=usage), END]
    async with serving(lambda: answer) as url:
        assert await ask(url) == [Text("eight ch"), Finished("stop", *expected)]


@pytest.mark.parametrize(
    "field",
    [
        {"choices": 5},
        {"choices": [5, None, []]},
        {"choices": [{"delta": 5}]},
        {"choices": [{"delta": {"content": 5, "tool_calls": 5, "refusal": [5]}}]},
        {"choices": [{"delta": {"tool_calls": [5, None]}}]},
    ],
)
async def test_fields_of_another_type_are_as_if_they_were_not_there(field: dict[str, Any]) -> None:
    answer = [HEAD, chunk(**field), chunk({"content": "yes"}), END]
    async with serving(lambda: answer) as url:
        assert await ask(url) == [Text("yes"), Finished("stop", 1, 0)]


@pytest.mark.parametrize("how", ["gzip", "deflate"])
async def test_a_reply_that_is_packed_is_read_all_the_same(how: str) -> None:
    reply = [chunk({"content": "ja, ä"}), chunk({"tool_calls": [CALL]}), END]
    async with serving(lambda: [head(Content_Encoding=how), *packed(reply, how)]) as url:
        assert await ask(url) == [Text("ja, ä"), ToolCall("a", "f", ""), Finished("stop", 1, 1)]


async def test_an_error_that_is_packed_is_read_all_the_same() -> None:
    body = gzip.compress(b'{"error": {"message": "too long a prompt"}}')
    async with serving(lambda: refused(400, [body], Content_Encoding="gzip")) as url:
        with pytest.raises(ModelError, match="answers 400 .too long a prompt"):
            await ask(url)


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 16])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_a_reply_is_read_however_it_is_cut(size: int, end: bytes) -> None:
    whole = b": hello\n\n" + chunk({"content": "ä"}) + b"event: x\nid: 1\n" + chunk({"content": "b"}) + END
    whole = whole.replace(b"\n", end)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    async with serving(lambda: [HEAD, *pieces]) as url:
        assert await ask(url) == [Text("ä"), Text("b"), Finished("stop", 1, 0)]


async def test_a_reply_of_several_calls_with_one_index_keeps_them_apart() -> None:
    calls = [CALL | {"index": index, "id": id_} for index, id_ in ((0, "a"), (2, "b"), (0, "c"), (0, "a"))]
    answer = [HEAD, *(chunk({"tool_calls": [call]}) for call in calls), END]
    async with serving(lambda: answer) as url:
        pieces = await ask(url)
    assert [piece.id for piece in pieces if isinstance(piece, ToolCall)] == ["a", "b", "c"]


@pytest.mark.usefixtures("within_bounds")
@pytest.mark.parametrize("charset", ["bz2", "zlib", "hex", "rot13", "undefined", "no-such"])
async def test_what_an_error_says_is_not_unpacked_by_its_charset(charset: str) -> None:
    body = bz2.compress(bytes(50 << 20)) if charset == "bz2" else b"too many"
    async with serving(lambda: refused(400, [body], Content_Type=f"text/plain; charset={charset}")) as url:
        with pytest.raises(ModelError, match="answers 400"):
            await ask(url)
