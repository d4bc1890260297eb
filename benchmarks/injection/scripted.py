"""A model that plans by the ground truth, and obeys every injection that it reads.

Knows requests and calls, and nothing of where they come from. A value of the ground truth stands in a plan as it is
if the query has its words, or no earlier result does; what only earlier results have is asked of the model by
``self``, with those results. A number that the query doesn't have was computed from results, and a placeholder
(``<summary>``) is written from all of them. In turns each value is written out once its call's turn has come.

It obeys as soon as it can: in turns by the calls of the injection, one a turn; asked to repair a call, by one with
effects in its place; asked to judge results, by wanting these calls, and to plan again, by writing them; asked for a
value, by the one that the injection has for the same argument of the same function; asked for an answer, by saying
what the injection wants said, if that is all that it wants. Refused, it goes on with the ground truth.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmorch.models.model import Finished, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from llmorch.models.model import ModelRequest

MARK = "<INFORMATION>"
"""What an injection begins with, and nothing else has."""
AGAIN = "attempt=2"
"""What a call that failed asks to be made with."""
NOTHING_TO_SAY = "Done."

_WORD = re.compile(r"[\w@][\w@.:/'&-]*")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_PLACEHOLDER = re.compile(r"<\w+>|\.\.\.")
_VALUE, _ANSWER = "Value", "Answer"


@dataclass(frozen=True)
class Step:
    """A call of a ground truth, with its values."""

    function: str
    args: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(f'{name}={value!r}' for name, value in self.args.items())})"


@dataclass(frozen=True)
class Asked:
    """A value that a plan has the model read from results, and what it is for."""

    value: Any
    function: str
    name: str


@dataclass
class Script:
    """All that the model knows: the task, its plan, and what the injection wants."""

    query: str
    answer: str
    steps: Sequence[Step]
    """With the values that are right in the world as it is."""
    plain: Sequence[Step]
    """With those of the world without an injection, by which the plan is written."""
    results: Sequence[str]
    """What each of these returns."""
    effects: frozenset[str]
    """Functions that have some."""
    injected: Sequence[Step] = ()
    goal: str = ""
    lines: list[str] = field(default_factory=list)
    """The plan."""
    asked: list[Asked] = field(default_factory=list)
    """By the number in their prompts."""
    fixed: list[bool] = field(default_factory=list)
    """Of each step, whether no value is read from a result."""

    def __post_init__(self) -> None:
        self._known: dict[str, str] = {}
        """The results of the calls so far, by their ids."""
        self._ids: dict[str, str] = {}
        for step, plain, result in zip(self.steps, self.plain, self.results, strict=True):
            before = len(self.lines)
            given = [
                f"{name}={self._written(value, plain.args[name], step.function, name)}"
                for name, value in step.args.items()
            ]
            self.fixed.append(len(self.lines) == before)
            self._known[self._line(f"{step.function}({', '.join(given)})")] = result

    def _line(self, text: str) -> str:
        """Add a call, and return its id."""
        self.lines.append(f"s{len(self.lines) + 1} = {text}")
        return f"s{len(self.lines)}"

    def _written(self, value: Any, plain: Any, function: str, name: str) -> str:
        """A value as the plan has it."""
        if isinstance(value, list):
            items = zip(value, plain, strict=True)
            return f"[{', '.join(self._written(*item, function, name) for item in items)}]"
        if isinstance(value, dict):
            fields = (
                f"{key!r}: {self._written(item, plain[key], function, name)}" for key, item in value.items()
            )
            return f"{{{', '.join(fields)}}}"
        sources = self._sources(plain)
        if not sources:
            return repr(value)
        wanted = f"write only the {name} that {function} takes: {' '.join(f'{{{id_}}}' for id_ in sources)}"
        key = f"{value!r}: {wanted}"
        if key not in self._ids:
            self.asked.append(Asked(value, function, name))
            self._ids[key] = self._line(f"self(prompt={f'{_VALUE} {len(self.asked) - 1}: {wanted}'!r})")
        id_ = self._ids[key]
        return f"{type(value).__name__}({id_})" if isinstance(value, int | float) else id_

    def _sources(self, value: Any) -> list[str]:
        """The calls whose results the value is read from; none if it is in the query, or the model's own."""
        if isinstance(value, bool) or value is None:
            return []
        if isinstance(value, int | float):
            if value in _numbers(self.query):
                return []
            return [id_ for id_, text in self._known.items() if value in _numbers(text)] or [*self._known]
        if _PLACEHOLDER.fullmatch(value):
            return [*self._known]
        missing = _words(value) - _words(self.query)
        return [id_ for id_, text in self._known.items() if missing & _words(text)]

    @property
    def plan(self) -> str:
        return "\n".join(self.lines)

    @property
    def answering_plan(self) -> str:
        """The plan, with a last call that answers from all results."""
        results = " ".join(f"{{{id_}}}" for id_ in self._known)
        return f"{self.plan}\ns{len(self.lines) + 1} = self(prompt='{_ANSWER} {{query}} {results}')"

    @property
    def batches(self) -> list[list[Step]]:
        """The steps by turns: those that only read and need no other's result together."""
        turns: list[list[Step]] = []
        joins = False
        for step, fixed in zip(self.steps, self.fixed, strict=True):
            alone = step.function in self.effects or not fixed
            if joins and not alone:
                turns[-1].append(step)
            else:
                turns.append([step])
            joins = not alone
        return turns


def _words(text: str) -> set[str]:
    return {word.rstrip(".:/'-") for word in _WORD.findall(text.lower())}


def _numbers(text: str) -> set[float]:
    return {float(found.replace(",", "")) for found in _NUMBER.findall(text)}


class Obedient:
    """The model of one run."""

    name = "scripted"
    kind = "inout"
    constrains = False

    def __init__(self, script: Script, technique: str) -> None:
        self._script = script
        self.calls_tools = technique in ("parallel", "toolcompiler")
        self._plan = script.answering_plan if technique == "llmorch" else script.plan
        self._turns = script.batches if self.calls_tools else [[step] for step in script.steps]
        self._orders = list(script.injected)
        """What is still to be obeyed, in turns."""
        self._effects = [step for step in script.injected if step.function in script.effects]
        """And in repairs."""
        self._wanted = self._planned = not script.injected
        self.obeyed = 0
        """How often it wrote what an injection wants."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
        """The reply, in one piece."""
        reply = self._reply(request)
        if isinstance(reply, str):
            yield Text(reply)
        else:
            for number, step in enumerate(reply):
                yield ToolCall(f"c{number}", step.function, json.dumps(dict(step.args)))
        yield Finished("stop", 0, 0)

    async def close(self) -> None:
        """There is nothing to end."""

    def _reply(self, request: ModelRequest) -> str | list[Step]:
        opening, *said = (message.text for message in request.messages)
        text = "\n".join(said)
        read = MARK in text
        if request.tools:
            return self._turn(read=read) or self._answer(read=read)
        if opening.startswith("You answer a query step by step"):
            turn = self._turn(read=read)
            rest = f"Action: {turn[0]}" if turn else f"{_ANSWER}: {self._answer(read=read)}"
            return f"Thought: as planned\n{rest}"
        if opening.startswith("You turn a query into a plan") and "These calls were made already" in text:
            return self._again(int(re.findall(r"the next id is s(\d+)", text)[-1]), read=read)
        if opening.startswith(("You turn a query into a plan", "You make a plan that collects")):
            return self._plan
        if opening.startswith("A call of a plan has failed"):
            return self._repair(text, read=read)
        if opening.startswith("You judge whether") and read and not self._wanted:
            self._wanted = True
            return f"Thought: there is more to do\nReplan: {' '.join(self._script.goal.split())}"
        if opening.startswith(("You judge whether", "You answer a query from the results")):
            return f"Thought: as planned\n{_ANSWER}: {self._answer(read=read)}"
        if opening.startswith("Do what the prompt asks") and (number := re.match(rf"{_VALUE} (\d+):", text)):
            return self._value(self._script.asked[int(number.group(1))], read=read)
        return self._answer(read=read)

    def _turn(self, *, read: bool) -> list[Step]:
        """The next calls, or none where the answer is due."""
        if read and self._orders:
            self.obeyed += 1
            return [self._orders.pop(0)]
        return self._turns.pop(0) if self._turns else []

    def _again(self, first: int, *, read: bool) -> str:
        if not read or self._planned:
            return f"s{first} = self(prompt='{_ANSWER} {{query}}')"
        self._planned = True
        self.obeyed += 1
        return "\n".join(f"s{number} = {step}" for number, step in enumerate(self._script.injected, first))

    def _repair(self, text: str, *, read: bool) -> str:
        id_, function, rest = re.findall(r"^Repair: (\w+) = (\w+)\((.*)$", text, re.MULTILINE)[-1]
        if read and self._effects:
            self.obeyed += 1
            return f"{id_} = {self._effects.pop(0)}"
        if function == "self":
            return f"{id_} = {function}({rest[:-2]} again{rest[-2:]}"
        return f"{id_} = {function}({AGAIN}{', ' if rest != ')' else ''}{rest}"

    def _value(self, asked: Asked, *, read: bool) -> str:
        for step in self._script.injected if read else ():
            if step.function == asked.function and asked.name in step.args:
                self.obeyed += 1
                wanted = step.args[asked.name]
                return str(wanted[0] if isinstance(wanted, list) else wanted)
        return str(asked.value)

    def _answer(self, *, read: bool) -> str:
        says = read and not self._script.injected
        return f"{self._script.answer or NOTHING_TO_SAY}{f' {self._script.goal}' if says else ''}"
