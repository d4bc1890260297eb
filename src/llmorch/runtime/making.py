"""How a call is made once its turn has come: its arguments, its place, its prompts, further attempts.

Decides nothing about order, and tells nobody but its caller what came of a call.
"""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from llmorch.declare.functions import SELF
from llmorch.errors import CallError, ModelError
from llmorch.places.failure import Raised
from llmorch.places.handing import opened
from llmorch.requests import Usage
from llmorch.runtime.arguments import arguments
from llmorch.runtime.asking import Asking
from llmorch.runtime.batching import made_as_one
from llmorch.runtime.prompting import prompt
from llmorch.runtime.retrying import Retried, in_time, next_pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from llmorch.calls import FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.runtime.attempts import Attempt
    from llmorch.runtime.placing import OpenPlaces
    from llmorch.runtime.results import Results
    from llmorch.runtime.sharing import Sharing
    from llmorch.schedule import Orchestration


class Making:
    """Makes the calls of one execution, each in its place.

    ``places`` and ``ask`` are those of ``Execution``, ``sharing`` is its part in what runs
    share. ``retried`` are the attempts that failed and were followed by another, as that one
    began.
    """

    def __init__(
        self,
        core: Orchestration,
        functions: Mapping[str, Function],
        *,
        places: OpenPlaces,
        ask: Callable[[str, Usage], Awaitable[str]],
        sharing: Sharing | None,
    ) -> None:
        self.retried: list[Retried] = []
        self._core = core
        self._functions = functions
        self._places = places
        self._ask = ask
        self._sharing = sharing
        self._chance = Random()
        self._clock = asyncio.get_running_loop().time

    async def one(self, attempt: Attempt, call: FunctionCall, given: Results) -> Any:
        """A call's result, made again after a pause where that was declared."""
        function = self._functions[call.function]
        began = self._clock()
        number = 1
        while True:
            try:
                return await self._work(attempt, call, function, given)
            except CallError as error:
                failed = Raised(str(error), error.detail, error.kinds)
            except ModelError as error:  # how often a model is asked is its own to say
                failed = Raised(str(error), "", ())
            since = self._clock() - began
            pause = next_pause(function, failed.kinds, attempt=number, since=since, chance=self._chance)
            if pause is not None:
                await self._pause(function, pause)
            if pause is None or not in_time(self._clock() - began):  # a pause may have lasted longer
                raise _after(failed, number)
            self.retried.append(Retried(attempt.call.id, function.name, number, failed.message, pause))
            number += 1

    async def _work(self, attempt: Attempt, call: FunctionCall, function: Function, given: Results) -> Any:
        """One attempt, with arguments of its own: the one before may have changed what it was given."""
        elsewhere = not function.asks_model and (bool(attempt.processors) or function.in_process)
        if function.name == SELF:
            args = {name: prompt(text, given, attempt.shown) for name, text in call.args.items()}
        else:
            args = arguments(call, function, given, handed=elsewhere)
        if function.asks_model:
            attempt.spent = attempt.spent or Usage()
            spent = attempt.spent
            asking = Asking(function, self._places.inline, lambda text: self._ask(text, spent))
            made = await asking.result(args)
            return await self._places.inline.shown(function, made)
        result = await self._places.execute(attempt, function, args)
        # What no call can use is opened while it still is this call that fails if it can't be.
        return opened(result) if elsewhere and self._unused(attempt) else result

    def _unused(self, attempt: Attempt) -> bool:
        """Whether no call of the whole plan uses what it comes to."""
        graph = self._core.graph
        known = self._core.complete and attempt.call.id in graph
        return known and not any(map(graph.users, graph.alike(attempt.call.id)))

    async def _opened(self, attempt: Attempt, function: Function, args: Mapping[str, Any]) -> Any:
        """The same with a value as its result."""
        return opened(await self._places.execute(attempt, function, args))

    async def together(
        self,
        attempts: Sequence[Attempt],
        given: Results,
        ended: Callable[[Iterable[tuple[Attempt, Any, CallError | None]]], None],
        wanted: Callable[[Attempt], bool],
    ) -> None:
        """A batch, and once more what failed of it and may be made again.

        ``ended`` hears what calls came to, and ``wanted`` says which of them still are.
        """
        function = self._functions[attempts[0].call.function]
        made = {attempt: attempt.call for attempt in attempts}
        began, number = self._clock(), 1
        while made:
            came = await made_as_one(function, [*made.values()], given, partial(self._opened, attempts[0]))
            outcomes = dict(zip(made, came, strict=True))
            since = self._clock() - began
            pauses = {
                attempt: pause
                for attempt, (_, error) in outcomes.items()
                if error is not None
                and (
                    pause := next_pause(
                        function, error.kinds, attempt=number, since=since, chance=self._chance
                    )
                )
                is not None
            }
            ended([(item, *_told(outcomes[item], number)) for item in made if item not in pauses])
            if pauses:
                await self._pause(function, max(pauses.values()))
            if not in_time(self._clock() - began):  # a pause may have lasted longer
                ended([(item, *_told(outcomes[item], number)) for item in pauses])
            made = {item: made[item] for item in pauses if wanted(item)}
            for attempt in made:
                reason = str(outcomes[attempt][1])
                self.retried.append(
                    Retried(attempt.call.id, function.name, number, reason, max(pauses.values()))
                )
            number += 1

    async def _pause(self, function: Function, seconds: float) -> None:
        """Wait until a call that failed may begin again."""
        await asyncio.sleep(seconds)
        if self._sharing is not None:
            await self._sharing.another(function)


def _after(failed: Raised, attempts: int) -> CallError:
    """The last failure of a call, with the number of attempts."""
    counted = "" if attempts == 1 else f" (after {attempts} attempts)"
    return CallError(failed.message + counted, detail=failed.detail, kinds=failed.kinds)


def _told(outcome: tuple[Any, CallError | None], attempts: int) -> tuple[Any, CallError | None]:
    """What one call of a batch came to, with the number of attempts if it failed."""
    result, error = outcome
    if error is None:
        return result, None
    return None, _after(Raised(str(error), error.detail, error.kinds), attempts)
