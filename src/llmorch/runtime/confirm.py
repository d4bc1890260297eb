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
        self._yes: set[tuple[CallId, str]] = set()
        self._no: dict[str, str] = {}
        """What was said of calls, by their text: a no is one for the run, a yes for that call."""

    async def refused(
        self, calls: Sequence[FunctionCall], ended: Sequence[FunctionCall], asking: Callable[[], None]
    ) -> Mapping[CallId, str]:
        """The calls that may not be made, and why: of a plan that is to be run, and of those that ``ended``.

        ``asking`` hears that somebody is asked, which may take long.
        """
        influence = self.influence
        before = {call.id: influence.refused[call.id] for call in ended if call.id in influence.refused}
        refused = before | influence.from_outside(calls, ended)
        for call in influence.undecided(calls, ended):
            if call.id in refused:
                continue
            if influence.rule == "allow":
                influence.allowed(call)
            elif why := await self._asked(call, asking):
                refused[call.id] = f"not made: {why}"
        for call in calls if refused else ():
            if call.id in refused:
                influence.note(call, f"was not made: {refused[call.id].removeprefix('not made: ')}")
        influence.refused = refused
        return refused

    async def _asked(self, call: FunctionCall, asking: Callable[[], None]) -> str:
        """Why a call may not be made, if somebody who is asked doesn't allow it."""
        why, confirm = self.influence.why(call), self._confirm
        if self.influence.rule == "refuse" or confirm is None:
            return why
        text = render_without_id(call)
        if text not in self._no and (call.id, text) not in self._yes:
            asking()
            said = await self._answer(confirm, Proposal.of(call, why))
            if not said:
                self._yes.add((call.id, text))
            else:
                self._no[text] = f"{why}; {said}"
        return self._no.get(text, "")

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
