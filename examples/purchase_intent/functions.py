"""The functions of the purchase intent analysis: search, chatbot and python.

Everything works without a network: the pages that search finds are stored in pages/ and
served on loopback by a small HTTP server, which starts with the first search.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import re
import runpy
import sys
import threading
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

from llmorch import function

FOLDER = Path(__file__).resolve().parent
PAGES = FOLDER / "pages"


@function(kind="inout", timeout=30, pure=True)
async def search(query: str) -> str:
    """Search the web and obtain the page that fits best, as HTML.

    Args:
        query: The URL of a page, or words to look for.
    """
    return await asyncio.to_thread(_fetch, _page_for(query).name)


@function(asks_model=True, pure=True)
def chatbot(prompt: str) -> str:
    """Ask a language model for an answer or a completion towards a prompt.

    Args:
        prompt: What to do, with the results it needs, as in {s1}.
    """
    return f"{prompt}\n\nUse at most 80 words."


@function(kind="compute", timeout=120, pure=True)
def python(file: str, args: list[str] = []) -> str:  # noqa: B006 - the list is what a model reads; nobody changes it
    """Execute the Python code in a local file with arguments and obtain what it prints.

    Args:
        file: The name of the file, such as "analyze.py".
        args: The arguments, such as a page that search found, or the name of a file.
    """
    script = (FOLDER / file).resolve()
    if script.parent != FOLDER:
        raise ValueError(f"{file}: only scripts in {FOLDER.name}/ can be run")
    if not script.is_file() or script.suffix != ".py":
        raise FileNotFoundError(f"{file}: there is no such script; there are {', '.join(_scripts())}")
    return _run(script, args)


def _scripts() -> list[str]:
    return sorted(path.name for path in FOLDER.glob("*.py") if path.name != "functions.py")


def _run(script: Path, args: list[str]) -> str:
    """Run a script here, in the worker process of this call, as ``python script args`` would.

    A child process would outlive a call that is stopped, and a command line has no room
    for a whole page.
    """
    printed = io.StringIO()
    before = sys.argv
    sys.argv = [str(script), *args]
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as stopped:
        if stopped.code:
            raise RuntimeError(f"{script.name}: {stopped.code}") from None
    finally:
        sys.argv = before
    return printed.getvalue().strip()


def _page_for(query: str) -> Path:
    """The stored page for a URL, by its host and path, or the one that shares most words with the query."""
    stored = sorted(PAGES.glob("*.html"))
    parts = urlsplit(query.strip())
    if parts.scheme in ("http", "https"):
        name = (parts.netloc.removeprefix("www.") + parts.path).strip("/").replace("/", "_") + ".html"
        for page in stored:
            if page.name == name:
                return page
        raise LookupError(f"{query}: no such page is stored; there are {', '.join(p.stem for p in stored)}")
    wanted = set(re.findall(r"\w{3,}", query.lower()))

    def hits(page: Path) -> int:
        words = re.findall(r"\w{3,}", (page.stem + " " + page.read_text(encoding="utf-8")).lower())
        return sum(min(words.count(word), 20) for word in wanted)

    best = max(stored, key=hits)
    if not hits(best):
        raise LookupError(f"nothing found for {query!r}")
    return best


def _fetch(name: str) -> str:
    # A proxy of the environment has no business with the loopback server.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with _starting:
        host = _server()
    with opener.open(f"http://{host}/{quote(name)}", timeout=20) as reply:
        return reply.read().decode("utf-8")


_starting = threading.Lock()


@functools.cache
def _server() -> str:
    """Start the server that stands in for the web; it ends with the process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(PAGES)))
    threading.Thread(target=server.serve_forever, name="stored pages", daemon=True).start()
    return f"127.0.0.1:{server.server_port}"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line on standard error for each."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        pass
