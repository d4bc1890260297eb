"""search and python, which two of the examples have."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from llmorch.declare.offered import as_functions
from tests.examples.loading import EXAMPLES, load

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.anyio

FOLDERS = ("seo_audit", "purchase_intent")


@pytest.fixture(params=FOLDERS)
def example(request: pytest.FixtureRequest) -> ModuleType:
    return load(EXAMPLES / request.param / "functions.py")


def test_a_plan_may_call_search_chatbot_and_python(example: ModuleType) -> None:
    functions = as_functions([example.search, example.chatbot, example.python])
    assert {name: (item.kind, item.asks_model) for name, item in functions.items()} == {
        "search": ("inout", False),
        "chatbot": ("inout", True),
        "python": ("compute", False),
    }
    assert functions["python"].signature == "python(file: str, args: list[str] = []) -> str"


async def test_search_finds_every_stored_page_by_its_address(example: ModuleType) -> None:
    for page in sorted(example.PAGES.glob("*.html")):
        address = "https://www." + page.stem.replace("_", "/")
        assert await example.search(address) == page.read_text(encoding="utf-8")
        assert await example.search(address + "/") == page.read_text(encoding="utf-8")


async def test_search_for_an_address_that_is_not_stored_names_those_that_are(example: ModuleType) -> None:
    with pytest.raises(LookupError, match=r"no such page is stored; there are .*example\.com"):
        await example.search("https://example.net/")


async def test_search_for_words_that_no_page_has_finds_nothing(example: ModuleType) -> None:
    with pytest.raises(LookupError, match="nothing found for 'xylophone'"):
        await example.search("xylophone")


async def test_search_takes_words_too() -> None:
    seo = load(EXAMPLES / "seo_audit" / "functions.py")
    assert "town library" in await seo.search("library opening hours")
    assert "canvas and leather" in await seo.search("handmade bicycle bags")


async def test_all_searches_share_one_server(example: ModuleType) -> None:
    await example.search(
        "https://example.com/shop" if example.FOLDER.name == "seo_audit" else "https://apple.com"
    )
    await example.search("phone" if example.FOLDER.name == "purchase_intent" else "assistant")
    assert example._server.cache_info().misses == 1


@pytest.mark.parametrize("file", ["../hello.py", "/etc/passwd", "pages/../../hello.py", ".."])
def test_python_runs_nothing_outside_its_folder(example: ModuleType, file: str) -> None:
    with pytest.raises(ValueError, match=r"only scripts in .* can be run"):
        example.python(file)


def test_a_script_that_is_not_there_is_answered_with_those_that_are() -> None:
    seo, intent = (load(EXAMPLES / folder / "functions.py") for folder in FOLDERS)
    with pytest.raises(
        FileNotFoundError, match=r"audit\.py: there is no such script; there are con\.py, seo\.py"
    ):
        seo.python("audit.py")
    with pytest.raises(FileNotFoundError, match=r"there are analyze\.py, content\.py, user\.py"):
        intent.python("history.txt")


def test_a_script_that_gives_up_says_why_and_leaves_the_process_as_it_was(example: ModuleType) -> None:
    before = (list(sys.argv), sys.stdout, sys.modules["__main__"])
    script = {"seo_audit": "con.py", "purchase_intent": "analyze.py"}[example.FOLDER.name]
    with pytest.raises(RuntimeError, match=rf"^{script}: usage: python {script}"):
        example.python(script)
    assert (list(sys.argv), sys.stdout, sys.modules["__main__"]) == before


def test_an_argument_may_be_longer_than_a_command_line_takes() -> None:
    seo = load(EXAMPLES / "seo_audit" / "functions.py")
    page = "<title>Long</title>" + "<!-- nothing to see -->" * 20_000 + "<p>One sentence is enough.</p>"
    assert "Length: 4 words, 1 sentences" in seo.python("con.py", [page])
