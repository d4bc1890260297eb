"""One call of a function that asks the model: its prompts, the replies, and what it makes of them.

Decides what counts as a reply, and as the call's end, and whether that was in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from llmorch.declare.functions import SELF
from llmorch.errors import CallError, EvaluationError, ModelError, ModelUnreachable, Unanswered
from llmorch.places.arguments import Inputs, arguments
from llmorch.places.failure import late
from llmorch.places.iterators import awaits, listed
from llmorch.places.jobs import Jobs
from llmorch.places.port import End, Here
from llmorch.places.shown import Shown
from llmorch.plan.budget import Budget, Uncounted
from llmorch.plan.evaluate import as_text
from llmorch.requests import Message, ModelRequest, Usage
from llmorch.runtime.prompt import prompt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.places.local import Local
    from llmorch.places.port import Job, Work
    from llmorch.runtime.conversing import Conversing

    Ask = Callable[[str, Usage], Awaitable[str]]

MAX_PROMPTS = 20
"""Prompts of one call: a function that never ends asking must not run for ever."""
ANSWER_TOKENS = 384
"""The longest reply to a prompt inside a plan, such as ``self``'s."""

_ANSWERING = Message("system", "Do what the prompt asks, from what it gives. Answer exactly and briefly.")


def prompting(prompt: str) -> ModelRequest:
    """The request that a prompt inside a plan is."""
    return ModelRequest((_ANSWERING, Message("user", prompt)), max_tokens=ANSWER_TOKENS)


async def replied(conversing: Conversing, prompt: str, notes: dict[str, str], asker: Usage) -> str:
    """The reply to a prompt inside a plan; ``notes`` learns of one that was cut off, ``asker`` what it cost.

    Raises ``ModelError`` for a reply with nothing in it.
    """
    reply = await conversing.ask(prompting(prompt), asker)
    text = reply.text.strip()
    snippet = " ".join(prompt.split())[:60]
    if not text:
        raise ModelError(f"{conversing.model.name} replied with nothing to {snippet!r}")
    if reply.reason == "length":
        notes[prompt] = f"the reply to {snippet!r} was cut off after {ANSWER_TOKENS} tokens"
    return text


class _Left:
    """What is left to do when a step of the function returns: it is neither a prompt nor the result."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Asking:
    """One call of a function that asks the model, by ``ask``; the function itself runs ``inline``."""

    def __init__(self, function: Function, inline: Local, ask: Callable[[str], Awaitable[str]]) -> None:
        self._function = function
        self._plain = replace(function, show=None, timeout=None, elapsed=0.0)
        self._inline = inline
        self._ask = ask
        self._clock = asyncio.get_running_loop().time
        self._made: Any = None
        self._ended: float | None = None

    async def result(self, args: Mapping[str, Any]) -> Any:
        """What the call comes to. Raises ``CallError``, and ``ModelError`` where the model fails."""
        function = self._function
        if function.timeout is None:
            await self._converse(args)
            return self._made
        until = self._clock() + function.timeout - function.elapsed
        try:
            async with asyncio.timeout_at(until) as limit:
                await self._converse(args)
        except TimeoutError:
            if not limit.expired():
                raise
        # By when it ended, on whatever thread: the event loop may hear of both that and the timer late.
        if self._ended is None or self._ended > until:
            raise late(function.name, function.timeout)
        return self._made

    async def _converse(self, args: Mapping[str, Any]) -> None:
        """Ask what the function wants to know: the reply to its one prompt is the result, or what it returns."""
        begun = await self._run(self._begin, args)
        if not isinstance(begun, _Left):
            self._end(await self._ask(self._prompt(begun)))
            return
        reply = None
        for _ in range(MAX_PROMPTS + 1):
            made = await self._run(self._step, {"prompts": begun.value, "reply": reply})
            if self._ended is not None:
                return
            if isinstance(made, _Left):
                self._end(await self._run(lambda left: left.value, {"left": made}))
                return
            reply = await self._ask(self._prompt(made))
        raise CallError(f"{self._function.name} asked the model more than {MAX_PROMPTS} times")

    async def _run(self, target: Callable[..., Any], args: Mapping[str, Any]) -> Any:
        return await self._inline.execute(replace(self._plain, call=target), args)

    def _begin(self, **args: Any) -> Any:
        made = self._function.call(**args)
        return _Left(made) if isinstance(made, Generator) else made

    def _step(self, prompts: Generator[Any, Any, Any], reply: str | None) -> Any:
        """The next prompt, or the end; on a thread."""
        try:
            return prompts.send(reply)
        except StopIteration as stop:
            made = listed(stop.value)
        if awaits(made):
            return _Left(made)
        self._end(made)
        return None

    def _end(self, made: Any) -> None:
        self._made, self._ended = made, self._clock()

    def _prompt(self, made: Any) -> str:
        try:
            return as_text(made)
        except EvaluationError as error:
            raise CallError(f"{self._function.name} made no prompt: {error}") from None


class Asked:
    """The place of functions that ask the model: their own code runs ``inline``, the model is asked by ``ask``."""

    def __init__(self, inline: Local, ask: Ask) -> None:
        self._inline = inline
        self._ask = ask
        self._jobs = Jobs()

    def begin(self, job: Job, ended: Callable[[Sequence[End]], None]) -> Work:
        """Start a job, which is one call."""
        return self._jobs.begin(job, self._made(job), ended)

    async def _made(self, job: Job) -> Sequence[End]:
        function, usage = job.function, Usage()
        try:
            try:
                args = _given(job)
            except Uncounted:
                began = asyncio.get_running_loop().time()
                args = await self._inline.apart(function, partial(_given, job, apart=True))
                function = replace(function, elapsed=asyncio.get_running_loop().time() - began)
            made = await Asking(function, self._inline, lambda text: self._ask(text, usage)).result(args)
            shown = await self._inline.shown(function, made)
        except CallError as error:
            return (End(error=error, usage=usage),)
        except ModelError as error:  # how often a model is asked is its own to say
            kind = Unanswered if isinstance(error, ModelUnreachable) else CallError
            return (End(error=kind(str(error)), usage=usage),)
        value = Here(*shown) if isinstance(shown, Shown) else Here(shown)
        return (End(value, usage=usage),)

    async def close(self) -> None:
        """Stop what runs."""
        await self._jobs.close()


def _given(job: Job, *, apart: bool = False) -> Mapping[str, Any]:
    """What a job's function is called with. Raises ``CallError``, and ``Uncounted`` unless ``apart``."""
    (call,), function, budget = job.calls, job.function, Budget(apart=apart)
    values = Inputs(job.inputs, apart=apart)
    if function.name != SELF:
        return arguments(call, function, values, budget)
    texts = {id_: handle.text for id_, handle in job.inputs.items() if handle.text is not None}
    return {name: prompt(text, values, texts, budget) for name, text in call.args.items()}
