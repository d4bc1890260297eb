"""Where the calls of one orchestrator run: threads, and processes that are started once and kept.

Decides what there is and when it is started. It must not know of plans or models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.declare.resources import GPU_MEMORY, Supply, supply_of
from llmorch.machine import device_name, gpus
from llmorch.runtime.placing import OpenPlaces
from llmorch.runtime.sharing import leave_running

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.declare.resources import Amount
    from llmorch.places.inline import Inline
    from llmorch.places.workers import Workers


class Places:
    """The processors of one orchestrator: ``count`` of them, and GPUs by what they are called."""

    def __init__(self, count: int, devices: Sequence[str]) -> None:
        self._count = count
        self._devices = devices
        self._pool: Workers | None = None
        self._inline: Inline | None = None

    def open(self, functions: Iterable[Function], notes: dict[str, str]) -> OpenPlaces:
        """All of them; ``notes`` learns by name of functions that compute where calls wait."""
        workers = self._open_workers(functions)
        return OpenPlaces(self._open_inline(notes), workers, workers.place)

    def _open_inline(self, notes: dict[str, str]) -> Inline:
        """The place for calls that wait."""
        from llmorch.places.inline import Inline

        if self._inline is None:
            self._inline = Inline(leave=leave_running)

        def measured(function: Function, cpu: float, share: float) -> None:
            if not function.declared and cpu > 0.1 and cpu > share / 2:
                notes[function.name] = (
                    f"{function.name} spent most of its time on the CPU ({cpu:.1f} s), where it holds up every "
                    'other call: declare it with @function(kind="compute") to give it a processor'
                )

        self._inline.measured = measured
        return self._inline

    def _open_workers(self, functions: Iterable[Function]) -> Workers:
        """The processes, started at once if any of these functions needs it."""
        from llmorch.places.workers import Workers

        if self._pool is None:
            self._pool = Workers(self._count, self._devices)
            if any(item.kind == "compute" and not item.asks_model for item in functions):
                self._pool.start()
        return self._pool

    async def close(self) -> None:
        """End every process and thread; a later call starts them again."""
        pool, self._pool = self._pool, None
        inline, self._inline = self._inline, None
        if pool is not None:
            await pool.close()
        if inline is not None:
            await inline.close()


def supplied(
    said: Mapping[str, Amount | Sequence[Amount]] | None, functions: Iterable[Function]
) -> tuple[Supply, tuple[str, ...]]:
    """What there is, and what the GPUs are called."""
    supply = supply_of(said)
    if GPU_MEMORY in (said or {}):
        return supply, tuple(device_name(number) for number in range(len(supply.gpus)))
    if not any(GPU_MEMORY in item.resources for item in functions):
        return supply, ()
    found = gpus()
    return Supply(supply.named, tuple(gpu.memory for gpu in found)), tuple(gpu.name for gpu in found)
