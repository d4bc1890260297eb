"""The local model: llama.cpp in a process of its own, spoken to over the loopback.

This module decides when that process is started, who waits for it, and what is kept of a
prompt from one start to the next. How a request is worded is ``openai.py``'s business. It
must not know what the conversation is about.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from llmorch.errors import ModelError
from llmorch.machine import allowed_processors, cache_folder
from llmorch.models.child import Child
from llmorch.models.fitting import fit
from llmorch.models.model import Finished, ModelRequest, Piece
from llmorch.models.openai import OpenAIModel, package
from llmorch.models.slots import Slots
from llmorch.models.weights import Weights, choose, fetch, present

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from llmorch.declare.functions import Kind
    from llmorch.models.sources import Progress

_TIMEOUT = 900.0  # seconds without a byte: a full context takes two cores minutes to read
_SMALL = 60.0  # seconds for what llama.cpp answers at once, unless it is still reading a prompt


class LocalModel:
    """A model on this machine's processors.

    ``spec`` is ``local``, ``local:0.5b`` or ``local:/path/file.gguf``; ``threads`` defaults to
    the processors that this process may use. ``progress(done, total, source)`` is told, from
    another thread, how far the weights have arrived where they must be fetched.
    """

    def __init__(
        self,
        spec: str = "local",
        threads: int | None = None,
        context: int = 8192,
        progress: Progress | None = None,
    ) -> None:
        chosen = choose(spec)
        self._chosen = chosen
        if isinstance(chosen, Weights):
            self._name, identity = chosen.name, f"{chosen.name} {chosen.size}"
        else:
            status = chosen.stat()
            self._name, identity = f"local:{chosen}", f"{chosen} {status.st_size} {status.st_mtime_ns}"
        self._threads = threads or allowed_processors()
        self._context = context
        self._progress = progress
        self._slots = Slots(cache_folder() / "slots", identity, context)
        self._child: Child | None = None
        self._served: tuple[Child, OpenAIModel] | None = None
        self._starting = threading.Lock()  # two event loops may use one model
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._warm: dict[int, set[str]] = {}
        """Slot keys of the prompts that the process has in its memory, by its places."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def kind(self) -> Kind:
        return "compute"

    @property
    def constrains(self) -> bool:
        return True

    @property
    def calls_tools(self) -> bool:
        return False  # the default models write their calls wrong unless a grammar holds them

    async def start(self) -> None:
        """Load the weights, fetching them first if need be; does nothing when they are loaded.

        ``stream`` does this by itself. Whoever knows that a request will come saves its
        waiting by starting early.
        """
        await self._started()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Reply to ``request``, piece by piece; a second request waits for the first."""
        # Two at once would each take twice as long, and push each other's prompt out of memory.
        async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            child, model = await self._started()
            try:
                request = await fit(request, self._context, lambda text: _count(child, text))
                key = self._slots.key(request.messages[: request.cached])
                if not await self._recall(child, key, _place(request)):
                    child, model = await self._started()  # the slot file may have ended it
                async with aclosing(model.stream(request)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Finished):
                            await self._remember(child, key, _place(request))
                        yield piece
            except ModelError as error:
                await asyncio.sleep(0.1)  # a broken connection shows before the end of the process
                if not child.alive:
                    raise child.ended("answering") from error
                named = str(error).startswith(self._name)
                raise error if named else ModelError(f"{self._name}: {error}") from error

    async def read_ahead(self, request: ModelRequest) -> None:
        """Read a prompt that another one will begin like: what is computed for it is kept."""
        # One token, for the server takes no fewer; nobody reads it.
        async with aclosing(self.stream(replace(request, max_tokens=1))) as pieces:
            async for _ in pieces:
                pass

    async def close(self) -> None:
        """End the process; a later ``stream`` starts another."""
        served, child = self._served, self._child
        self._served = self._child = None
        if served is not None:
            await served[1].close()
        if child is not None:
            await asyncio.to_thread(child.kill)

    def kill(self) -> None:
        """End the process from outside an event loop. It ends with the interpreter in any case."""
        child = self._child
        self._served = self._child = None
        if child is not None:
            child.kill()

    async def _started(self) -> tuple[Child, OpenAIModel]:
        """The process, ready to be asked, and the way to ask it."""
        served = self._served
        if served is not None and served[0].alive:
            return served
        path = await self._weights()
        with self._starting:
            child = self._child
            if child is None or not child.alive:
                self._slots.prepare()
                self._warm.clear()
                child = self._child = Child(
                    self._name, path, context=self._context, threads=self._threads, slots=self._slots.folder
                )
        child.waiting += 1
        try:
            await package()  # slow to import, so while the weights are loaded
            address = await asyncio.to_thread(child.address)
        except ModelError:
            child.kill()
            raise
        except asyncio.CancelledError:
            if child.waiting == 1:  # or the thread would keep the event loop from ending
                child.kill()
            raise
        finally:
            child.waiting -= 1
        model = OpenAIModel(
            self._name, f"{address}/v1", child.key, _TIMEOUT, retries=0, extra=_extra, label=self._name
        )
        self._served = child, model
        return child, model

    async def _weights(self) -> Path:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelError(f"{self._name}: xllamacpp is not installed: install llmorch[local]")
        chosen = self._chosen
        if isinstance(chosen, Path):
            return chosen
        if present(chosen):
            return chosen.path
        cancelled = threading.Event()

        def progress(done: int, total: int, source: str) -> None:
            if cancelled.is_set():
                raise _CancelledError
            if self._progress is not None:
                self._progress(done, total, source)

        try:
            return await asyncio.to_thread(fetch, chosen, progress)
        finally:
            cancelled.set()  # the thread goes on by itself if this task was cancelled

    async def _recall(self, child: Child, key: str | None, place: int) -> bool:
        """Take up what was computed for this prompt earlier; false if that ended the process."""
        name = None if key is None or key in self._warm.get(place, ()) else self._slots.file(key)
        if key is None or name is None:
            return True
        import httpx2

        try:
            await _post(child, f"/slots/{place}?action=restore", {"filename": name})
        except (httpx2.HTTPError, ValueError) as error:
            if isinstance(error, httpx2.HTTPStatusError) or not child.alive:
                self._slots.drop(key)
        else:
            self._warm[place] = {key}  # whatever was there is gone
        return child.alive

    async def _remember(self, child: Child, key: str | None, place: int) -> None:
        """Keep what was computed for this prompt, unless that has been done."""
        if key is None:
            return
        self._warm.setdefault(place, set()).add(key)
        if self._slots.file(key) is not None:
            return
        import httpx2

        try:
            await _post(child, f"/slots/{place}?action=save", {"filename": self._slots.temporary(key)})
        except (httpx2.HTTPError, ValueError):
            self._slots.drop(key)
        else:
            self._slots.keep(key)


class _CancelledError(Exception):
    """Ends a fetch whose task was cancelled."""


def _extra(request: ModelRequest) -> Mapping[str, object]:
    """What llama.cpp takes beyond OpenAI's fields."""
    grammar = {} if request.grammar is None else {"grammar": request.grammar}
    return {"cache_prompt": True, "id_slot": _place(request), **grammar}


def _place(request: ModelRequest) -> int:
    """Which of the process's two places keeps what was computed for a prompt.

    Prompts with examples go to one and all others to the other, so that a plan and the
    calls that ask the model don't push each other out.
    """
    return 0 if request.cached > 1 else 1


async def _count(child: Child, text: str) -> int:
    import httpx2

    try:
        return len((await _post(child, "/tokenize", {"content": text}))["tokens"])
    except (httpx2.HTTPError, ValueError, LookupError) as error:
        raise ModelError(f"can't count the prompt's tokens ({error})") from error


async def _post(child: Child, path: str, body: Mapping[str, object]) -> Any:
    import httpx2  # what the openai package runs on

    # trust_env: a proxy can't reach this machine's loopback. verify: plain http; without it no
    # certificates are read.
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=_SMALL) as client:
        response = await client.post(
            child.address() + path, json=body, headers={"Authorization": f"Bearer {child.key}"}
        )
        response.raise_for_status()
        return response.json()
