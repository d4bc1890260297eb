"""Where the calls of one execution run: which place is a call's.

It must not know when a call runs, nor how a place is started or ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.declare.functions import Function
    from llmorch.places.inline import Inline
    from llmorch.places.workers import Worker, Workers
    from llmorch.runtime.attempts import Attempt


@dataclass(frozen=True, slots=True)
class OpenPlaces:
    """The places where calls run.

    ``inline`` runs inout calls, ``processes`` those of them that a thread couldn't stop;
    ``workers`` names the place for a compute call, given the numbers of its processors and
    of its GPU, if it has one.
    """

    inline: Inline
    processes: Workers | Worker
    workers: Callable[[tuple[int, ...], int | None], Worker]

    async def execute(self, attempt: Attempt, function: Function, args: Mapping[str, Any]) -> Any:
        """Call a function in the attempt's place; a large result may be held."""
        if attempt.processors:
            return await self.workers(attempt.processors, attempt.device).hand(function, args)
        if function.in_process:
            return await self.processes.hand(function, args)
        return await self.inline.execute(function, args)
