"""The local model: llama.cpp in a process of its own, spoken to over the loopback.

This module decides when that process is started, who waits for it, and what is kept of a
prompt from one start to the next. How a request is worded is ``openai.py``'s business.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmorch.arguments import called, text, whole
from llmorch.errors import ModelError, shortage
from llmorch.machine import NoHome, allowed_processors, cache_folder
from llmorch.models.child import Child
from llmorch.models.clients import package
from llmorch.models.context import fit
from llmorch.models.model import Finished, ModelRequest, Piece
from llmorch.models.openai import OpenAIModel
from llmorch.models.slots import Slots
from llmorch.models.turn import Turn
from llmorch.models.weights import Weights, choose, fetch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from llmorch.declare.functions import Kind
    from llmorch.models.sources import Progress

_TIMEOUT = 900.0  # seconds without a byte: a full context takes two cores minutes to read
_SMALL = 60.0  # seconds for what llama.cpp answers at once, unless it is still reading a prompt

_LARGEST = 1 << 26  # bytes of an answer: the tokens of the longest prompt


@dataclass(eq=False)
class _Service:
    """What one process has of a model, from the first request until it is closed."""

    turn: Turn = field(default_factory=Turn)
    """To start the child, and to ask it."""
    account: threading.Lock = field(default_factory=threading.Lock)
    """Held for a moment while the child is started, or marked as not to be started any more."""
    child: Child | None = None
    model: OpenAIModel | None = None
    """The way to ask the child, once it has loaded the weights."""
    warm: dict[int, set[str]] = field(default_factory=dict)
    """Slot keys of the prompts that the child has in its memory, by its slots."""
    closed: bool = False

    def end(self) -> None:
        with self.account:
            self.closed = True
        if self.child is not None:
            self.child.kill()


class LocalModel:
    """A model on this machine's processors.

    ``spec`` is ``local``, ``local:0.5b`` or ``local:/path/file.gguf``; ``threads`` defaults to
    the processors that this process may use. ``progress(done, total, source)`` hears, from
    another thread, how far the weights have arrived where they must be fetched.

    All that asks in one process, in whatever thread, is served by one child process. A forked
    process starts its own when it asks, and leaves its parent's alone.
    """

    kind: Kind = "compute"
    constrains = True
    calls_tools = False  # the default models write their calls wrong unless a grammar holds them

    def __init__(
        self,
        spec: str = "local",
        threads: int | None = None,
        context: int = 8192,
        progress: Progress | None = None,
    ) -> None:
        text("spec", spec, "local, local:0.5b or local:/path/file.gguf")
        if threads is not None:
            whole("threads", threads, 1, 4096)
        whole("context", context, 1, 2**24)
        called("progress", progress, "a function of what is done, the total, and the source")
        chosen = choose(spec)
        self._chosen = chosen
        if isinstance(chosen, Weights):
            self.name, identity = chosen.name, f"{chosen.name} {chosen.size}"
        else:
            status = chosen.stat()
            self.name, identity = f"local:{chosen}", f"{chosen} {status.st_size} {status.st_mtime_ns}"
        self._threads = threads or allowed_processors()
        self._context = context
        self._progress = progress
        try:
            folder = cache_folder()
        except NoHome:  # none is kept: no folder can be in this place
            folder = Path(os.devnull)
        self._slots = Slots(folder / "slots", identity, context)
        self._services: dict[int, _Service] = {}
        """What each process has of the model: a forked child begins anew."""

    async def start(self) -> None:
        """Load the weights, fetching them first if need be, before the first ``stream`` does so."""
        service = self._service
        async with service.turn.taken():
            await self._started(service)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Reply to ``request``, piece by piece; a second request waits for the first."""
        service = self._service
        # Two at once would each take twice as long, and push each other's prompt out of memory.
        async with service.turn.taken():
            child, model = await self._started(service)
            try:
                request = await fit(request, self._context, lambda text: _count(child, text))
                key = self._slots.key(request.messages[: request.cached])
                if not await self._recall(service, child, key, _slot_of(request)):
                    child, model = await self._started(service)  # the slot file may have ended it
                async with aclosing(model.stream(request)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Finished):
                            await self._remember(service, child, key, _slot_of(request))
                        yield piece
            except ModelError as error:
                await asyncio.sleep(0.1)  # a broken connection shows before the end of the process
                if not child.alive:
                    raise child.ended("answering") from error
                named = str(error).startswith(self.name)
                raise error if named else ModelError(f"{self.name}: {error}") from error

    async def read_ahead(self, request: ModelRequest) -> None:
        """Read a prompt that another one will begin like: what is computed for it is kept."""
        # One token, for the server takes no fewer; nobody reads it.
        async with aclosing(self.stream(replace(request, max_tokens=1))) as pieces:
            async for _ in pieces:
                pass

    async def close(self) -> None:
        """End the process; a later ``stream`` starts another."""
        service = self._services.pop(os.getpid(), None)
        if service is not None:
            await asyncio.to_thread(service.end)
            if service.model is not None:
                await service.model.close()

    @property
    def _service(self) -> _Service:
        # Without a lock, which a fork could leave locked: what is there already is never replaced.
        return self._services.get(os.getpid()) or self._services.setdefault(os.getpid(), _Service())

    async def _started(self, service: _Service) -> tuple[Child, OpenAIModel]:
        """The process, ready to be asked, and the way to ask it; for whoever has the turn."""
        if service.child is not None and service.model is not None and service.child.alive:
            return service.child, service.model
        path = await self._weights()
        with service.account:
            if service.closed:
                raise ModelError(f"{self.name}: the model was closed while the request waited; ask again")
            self._slots.prepare()
            try:
                child = service.child = Child(
                    self.name, path, context=self._context, threads=self._threads, slots=self._slots.folder
                )
            except OSError as error:
                raise ModelError(
                    f"{self.name}: no process can be started: {shortage(error) or error}"
                ) from None
        service.model = None
        service.warm.clear()
        try:
            await package()  # slow to import, so while the weights are loaded
            address = await asyncio.to_thread(child.address)
        except BaseException:  # or the thread that waits for it would keep the event loop from ending
            child.kill()
            raise
        service.model = OpenAIModel(
            self.name, f"{address}/v1", child.key, _TIMEOUT, retries=0, extra=_extra, label=self.name
        )
        return child, service.model

    async def _weights(self) -> Path:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelError(f"{self.name}: xllamacpp is not installed: install llmorch[local]")
        chosen = self._chosen
        if isinstance(chosen, Path):
            return chosen
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

    async def _recall(self, service: _Service, child: Child, key: str | None, slot: int) -> bool:
        """Take up what was computed for this prompt earlier; false if that ended the process."""
        if key is None or key in service.warm.get(slot, ()):
            return True
        name = await asyncio.to_thread(self._slots.whole, key)
        if name is None:
            return True
        if await self._slot(child, slot, "restore", name):
            service.warm[slot] = {key}  # whatever was there is gone
        return child.alive

    async def _remember(self, service: _Service, child: Child, key: str | None, slot: int) -> None:
        """Keep what was computed for this prompt, unless that has been done."""
        if key is None:
            return
        service.warm.setdefault(slot, set()).add(key)
        if self._slots.has(key):
            return
        name = self._slots.temporary(key)
        if await self._slot(child, slot, "save", name):
            await asyncio.to_thread(self._slots.keep, key, name)

    async def _slot(self, child: Child, slot: int, action: str, name: str) -> bool:
        """Have a slot file saved or restored; one that can't be is removed."""
        try:
            await _post(child, f"/slots/{slot}?action={action}", {"filename": name})
        except ModelError:
            self._slots.drop(name)
            return False
        return True


class _CancelledError(Exception):
    """Ends a fetch whose task was cancelled."""


def _extra(request: ModelRequest) -> Mapping[str, object]:
    """What llama.cpp takes beyond OpenAI's fields."""
    grammar = {} if request.grammar is None else {"grammar": request.grammar}
    return {"cache_prompt": True, "id_slot": _slot_of(request), **grammar}


def _slot_of(request: ModelRequest) -> int:
    """Which of the process's two slots keeps what was computed for a prompt.

    Prompts with examples go to one and all others to the other, so that a plan and the
    calls that ask the model don't push each other out.
    """
    return 0 if request.cached > 1 else 1


async def _count(child: Child, text: str) -> int:
    return len((await _post(child, "/tokenize", {"content": text}))["tokens"])


async def _post(child: Child, path: str, body: Mapping[str, object]) -> Any:
    import httpx2  # what the openai package runs on

    from llmorch.models.transport import BoundedClient

    key = {"Authorization": f"Bearer {child.key}"}
    # trust_env: a proxy can't reach this machine's loopback. verify: plain http; without it no
    # certificates are read.
    options = {"trust_env": False, "verify": False, "timeout": _SMALL}
    try:
        async with BoundedClient(patience=_SMALL, most=_LARGEST, **options) as client:
            response = await client.post(child.address() + path, json=body, headers=key)
            response.raise_for_status()
            return response.json()
    except (httpx2.HTTPError, ValueError, RecursionError) as error:
        raise ModelError(f"the model's process can't do {path} ({' '.join(str(error).split())})") from error
