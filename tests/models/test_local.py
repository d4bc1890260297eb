"""The local model: what it keeps, what it cuts, and the process it runs in."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llmorch.errors import ModelError
from llmorch.models.context import cut, fit
from llmorch.models.local import LocalModel
from llmorch.models.model import Finished, Message, ModelRequest, Text
from llmorch.models.openai import OpenAIModel
from llmorch.models.weights import CATALOGUE, present

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llmorch.models.child import Child

pytestmark = pytest.mark.anyio

needs_weights = pytest.mark.skipif(
    not present(CATALOGUE["local"]), reason="the weights are not on this machine"
)
CONSTANT = "You answer briefly. " + " ".join(f"Item {i} costs {i * 3} dollars." for i in range(12))


async def _words(text: str) -> int:
    return len(text.split())


def _conversation(*texts: str, max_tokens: int = 100, cached: int = 1) -> ModelRequest:
    roles = ["system", "user", "assistant", "user"]
    messages = tuple(Message(role, text) for role, text in zip(roles, texts, strict=False))  # type: ignore[arg-type]
    return ModelRequest(messages, max_tokens=max_tokens, cached=cached)


async def test_a_prompt_that_fits_is_left_alone() -> None:
    request = _conversation("rules", "a b c")
    assert await fit(request, 1000, _words) is request


async def test_the_middle_of_the_longest_varying_user_message_is_cut_until_the_reply_has_room() -> None:
    long = " ".join(f"word{i}" for i in range(2000))
    request = _conversation("rules " * 300, long, "reply " * 100, "and now?")
    fitted = await fit(request, 1500, _words)
    changed = [old != new for old, new in zip(request.messages, fitted.messages, strict=True)]
    assert changed == [False, True, False, False]
    text = fitted.messages[1].text
    assert text.startswith("word0 ")
    assert text.endswith(" word1999")
    assert " characters cut ...]" in text
    total = sum([await _words(message.text) for message in fitted.messages])
    assert 1200 < total <= 1400


async def test_a_prompt_that_no_cut_makes_fit_is_an_error() -> None:
    with pytest.raises(ModelError, match="offer fewer functions or ask for less"):
        await fit(_conversation("rules " * 2000, "short question"), 1000, _words)


def test_a_cut_says_how_much_is_gone() -> None:
    assert (
        cut("a" * 10 + "b" * 12_345 + "c" * 10, 20)
        == f"{'a' * 10}\n[... 12,345 characters cut ...]\n{'c' * 10}"
    )


async def test_weights_that_cannot_be_loaded_are_one_line_with_the_logs_last(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    model = LocalModel(f"local:{broken}")
    with pytest.raises(ModelError, match=r"broken\.gguf: .+") as caught:
        await model.start()
    assert "\n" not in str(caught.value)
    await model.close()


@pytest.fixture
async def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalModel]:
    """The real weights, and slot files of this test alone."""
    pytest.importorskip("xllamacpp")
    path = CATALOGUE["local"].path
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = LocalModel(f"local:{path}", context=640)
    yield model
    await model.close()


def _asking(text: str, *, max_tokens: int = 12, grammar: str | None = None) -> ModelRequest:
    messages = (Message("system", CONSTANT), Message("user", text))
    return ModelRequest(messages, max_tokens=max_tokens, grammar=grammar, cached=1)


def _brief(text: str, *, max_tokens: int = 12, grammar: str | None = None) -> ModelRequest:
    """The same without a constant beginning, which takes a while to read."""
    return ModelRequest((Message("user", text),), max_tokens=max_tokens, grammar=grammar)


async def _ask(model: LocalModel | OpenAIModel, request: ModelRequest) -> tuple[str, Finished, float]:
    """The reply, its end, and the seconds to its first piece."""
    started, first, text, end = time.monotonic(), 0.0, "", None
    async for piece in model.stream(request):
        first = first or time.monotonic() - started
        if isinstance(piece, Text):
            text += piece.text
        else:
            end = piece
    assert end is not None
    return text, end, first


def _flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    with path.open("r+b") as file:
        middle = file.seek(path.stat().st_size // 2)
        bit = file.read(1)[0] ^ 1
        file.seek(middle)
        file.write(bytes([bit]))


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _gone(pid: int, within: float = 20.0) -> bool:
    for _ in range(int(within / 0.05)):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.local
@needs_weights
async def test_a_grammar_holds_the_reply_and_a_wrong_one_is_an_error(model: LocalModel) -> None:
    text, end, _ = await _ask(model, _brief("What is 3 + 4?", grammar='root ::= "maybe " [0-9] "!"'))
    assert text[:6] + text[7:] == "maybe !"
    assert end.reason == "stop"
    with pytest.raises(ModelError, match="grammar"):
        await _ask(model, _brief("What is 3 + 4?", grammar="root ::= nowhere"))


@pytest.mark.local
@needs_weights
def test_one_process_serves_several_event_loops_until_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    model = LocalModel(f"local:{CATALOGUE['local'].path}", context=1024)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (model.kind, model.constrains) == ("compute", True)
    request = ModelRequest((Message("user", "Say hello in one word."),), max_tokens=8)
    first = asyncio.run(_ask(model, request))[0]
    assert model._service.child is not None
    pid = model._service.child.pid
    assert asyncio.run(_ask(model, request))[0] == first
    assert model._service.child.pid == pid
    asyncio.run(model.close())
    asyncio.run(model.close())
    assert _gone(pid)


@pytest.mark.local
@needs_weights
async def test_a_slot_is_saved_and_restored_by_the_next_start_and_made_again_where_it_is_damaged(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model._slots.folder
    text, _, cold = await _ask(model, _asking("What does item 7 cost?"))
    (saved,) = folder.iterdir()
    await model.close()
    await model.start()
    again, _, warm = await _ask(model, _asking("What does item 7 cost?"))
    assert again == text
    assert warm < cold / 2
    # A damaged file is never restored, and made again.
    size = saved.stat().st_size
    restored: list[str] = []
    slot = LocalModel._slot

    async def seen(model: LocalModel, child: Child, slot_: int, action: str, name: str) -> bool:
        restored.extend([name] if action == "restore" else [])
        return await slot(model, child, slot_, action, name)

    monkeypatch.setattr(LocalModel, "_slot", seen)
    for damage in (_flip, lambda path: path.write_bytes(b"nonsense")):
        await model.close()
        damage(saved)
        damaged = saved.read_bytes()
        assert (await _ask(model, _asking("What does item 8 cost?")))[0]
        (saved,) = folder.iterdir()
        assert saved.stat().st_size == size
        assert saved.read_bytes() != damaged
    assert restored == []


@pytest.mark.local
@needs_weights
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("when", ["while it reads the prompt", "while it writes"])
async def test_a_closed_iterator_leaves_the_processors_idle(model: LocalModel, when: str) -> None:
    await model.start()
    assert model._service.child is not None
    pid = model._service.child.pid
    if when == "while it writes":
        async with aclosing(model.stream(_brief("Count from 1 to 500.", max_tokens=300))) as pieces:
            await anext(pieces)
    else:
        reading = asyncio.ensure_future(_ask(model, _asking("Count from 1 to 500. " * 40, max_tokens=400)))
        await asyncio.sleep(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    # The batch that was begun is finished first, on a busy machine in half a minute; what was
    # asked would take far longer.
    for _ in range(40):
        before = _processor_seconds(pid)
        await asyncio.sleep(1)
        if _processor_seconds(pid) - before < 0.2:
            break
    else:
        pytest.fail("the model goes on after nobody listens")


@pytest.mark.local
@needs_weights
async def test_a_killed_process_is_an_error_and_the_next_request_starts_another(model: LocalModel) -> None:
    pieces = model.stream(_brief("Count from 1 to 500.", max_tokens=300))
    await anext(pieces)
    assert model._service.child is not None
    os.kill(model._service.child.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="killed by signal 9 while answering") as caught:
        assert [piece async for piece in pieces]
    assert "\n" not in str(caught.value)
    assert (await _ask(model, _brief("Hello?")))[0]


@pytest.mark.local
@needs_weights
async def test_two_requests_at_once_are_both_answered_and_a_long_one_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    small = LocalModel(f"local:{CATALOGUE['local'].path}", context=256)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    long = _brief("Is this long? " + "alpha beta gamma " * 1200, grammar='root ::= "yes" | "no"')
    even = _brief("Is two even?", grammar='root ::= "yes" | "no"')
    try:
        (_, end, _), (short, _, _) = await asyncio.gather(_ask(small, long), _ask(small, even))
    finally:
        await small.close()
    assert short in ("yes", "no")
    assert 150 < end.input_tokens <= 256 - 12


@pytest.mark.local
@needs_weights
async def test_its_server_is_an_openai_compatible_endpoint(model: LocalModel) -> None:
    await model.start()
    assert model._service.child is not None
    remote = OpenAIModel("any", f"{model._service.child.address()}/v1", model._service.child.key)
    text, end, _ = await _ask(remote, _brief("What is the capital of France?", max_tokens=20))
    assert "Paris" in text
    assert end.output_tokens > 0
    with pytest.raises(ModelError, match="refuses the key"):
        await _ask(OpenAIModel("any", f"{model._service.child.address()}/v1", "wrong"), _asking("Hello?"))


@pytest.mark.local
@needs_weights
@pytest.mark.parametrize("thread", [False, True])
def test_a_killed_parent_leaves_no_process(thread: bool, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    script = f"""
import asyncio, os, threading
from llmorch.models.local import LocalModel
model = LocalModel("local:{CATALOGUE["local"].path}", context=512)
run = lambda: asyncio.run(model.start())
if {thread}:
    runner = threading.Thread(target=run); runner.start(); runner.join()
else:
    run()
assert model._service.child.alive
print(model._service.child.pid, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert _gone(pid)
