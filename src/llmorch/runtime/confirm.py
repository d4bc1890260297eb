"""Which calls of a run may not be made: by the rule for what a model wrote under influence, or as somebody said.

Decides who is asked, and what counts as a yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from llmorch.declare.callables import is_async
from llmorch.declare.functions import Function
from llmorch.errors import CallError
from llmorch.plan import render_without_id
from llmorch.techniques.influence import Influence, Proposal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.places.local import Local

Confirm: TypeAlias = "Callable[[Proposal], bool | Awaitable[bool]]"
"""Is asked for a call, and returns ``True`` where it may be made; sync or async."""


class Confirming:
    """Asks ``confirm``, once for each call; a sync one ``inline``, off the event loop."""

    def __init__(self, influence: Influence, confirm: Confirm | None, inline: Local) -> None:
        self.influence = influence
        self._confirm = confirm
        self._inline = inline
        self._said: dict[tuple[CallId, str], str] = {}
        """What was said of calls: why one may not be made, or nothing."""

    async def refused(self, calls: Sequence[FunctionCall]) -> Mapping[CallId, str]:
        """Of all calls of the run as it is now, those that may not be made, and why."""
        influence = self.influence
        refused = influence.from_outside(calls)
        for call in influence.new_effects(calls):
            if call.id in refused:
                continue
            if influence.rule == "allow":
                influence.allowed(call)
            elif why := await self._asked(call):
                refused[call.id] = f"not made: {why}"
        for call in calls:
            if call.id in refused:
                influence.note(call, f"was not made: {refused[call.id].removeprefix('not made: ')}")
        influence.refused = refused
        return refused

    async def _asked(self, call: FunctionCall) -> str:
        """Why a call may not be made, if somebody who is asked doesn't allow it."""
        why, confirm = self.influence.why, self._confirm
        if self.influence.rule == "refuse" or confirm is None:
            return why
        key = call.id, render_without_id(call)
        if key not in self._said:
            said = await self._answer(confirm, Proposal.of(call, why))
            self._said[key] = f"{why}; {said}" if said else ""
        return self._said[key]

    async def _answer(self, confirm: Confirm, proposal: Proposal) -> str:
        def asking(proposal: Proposal) -> Any:
            return confirm(proposal)

        async def waiting(proposal: Proposal) -> Any:
            return await confirm(proposal)  # type: ignore[misc]

        try:
            target = waiting if is_async(confirm) else asking
            said = await self._inline.execute(Function("confirm", target), {"proposal": proposal})
        except CallError as error:
            return f"whoever was asked failed: {error}"
        return "" if said is True else "whoever was asked said no"
