"""Random plans that are right: a varied table of functions, and a writer of plans over it.

Right by construction: every call exists, every literal has its type, every result is used
or was called for its effect. Nothing here asks the checks that are measured with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from pydantic import BaseModel

from llmorch import function

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

FORMS = (*["canonical"] * 12, *["paper"] * 3, *["numbered"] * 2, *["lettered"] * 2, "named")
"""How a random plan is written: mostly as the prompt asks, with ids like ``s3``; rarely ``e3`` or ``page``."""
WORDS = ("page", "size", "angle", "report", "rest", "list_of", "part", "mark", "total", "kind", "way", "ends")


class Point(BaseModel):
    """A place on a plot."""

    x: float
    y: float = 0.0


@function(pure=True)
async def search(query: str, k: Annotated[int, Ge(1)] = 5) -> str: ...


@function(pure=True)
async def open_page(address: str, parts: list[str] | None = None) -> dict[str, Any]: ...


@function(kind="compute", pure=True)
def count_words(text: str) -> int: ...


@function(kind="compute", pure=True)
def measure(image: str, scale: float = 1.0) -> float: ...


@function(pure=True)
def mean(values: list[float]) -> float: ...


@function(pure=True)
def join(parts: list[str], between: str = " ") -> str: ...


@function(pure=True)
def rate(text: str, unit: Literal["stars", "points"] = "stars") -> int: ...


@function(pure=True)
def choose(options: list[str], count: int) -> list[str]: ...


@function(kind="compute", pure=True)
def plot(points: list[Point], title: str, grid: bool = False) -> str: ...


@function(pure=True)
def weigh(weights: dict[str, float], precise: bool = False) -> float: ...


@function(writes=["mail:{to}"])
def send(to: str, text: str, urgent: bool = False) -> None: ...


@function(writes=["entry:{name}"])
def store(name: str, value: Any) -> str: ...


TABLE = (search, open_page, count_words, measure, mean, join, rate, choose, plot, weigh, send, store)


def random_plan(chance: random.Random) -> str:
    """One plan over ``TABLE``, as text."""
    return _Writer(chance).plan()


class _Writer:
    """Writes one random plan."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._form = chance.choice(FORMS)
        self._types: dict[str, str] = {}
        """The ids so far, and what type each result has."""
        self._unused: list[str] = []
        self._lines: list[str] = []
        self._words = chance.sample(WORDS, len(WORDS))

    def plan(self) -> str:
        chance = self._chance
        if chance.random() < 0.15:  # what has to be known and no more, as many examples have it
            for _ in range(chance.randint(1, 5)):
                self._add("search", "str", [("query", self._text())])
            return "\n".join(self._lines)
        for _ in range(chance.randint(2, 9)):
            getattr(self, "_" + chance.choice(TABLE).__name__)()
        if self._unused:
            self._end()
        return "\n".join(self._lines)

    def _end(self) -> None:
        """A last call that uses whatever is left over."""
        if all(self._types[id_] in ("float", "int") for id_ in self._unused) and self._chance.random() < 0.7:
            self._add("mean", "float", [("values", f"[{', '.join(map(self._used, self._unused[:]))}]")])
            return
        told = "; ".join(f"{self._said()}: {self._inside(id_)}" for id_ in self._unused[:])
        if self._chance.random() < 0.3:
            self._add("send", "None", [("to", '"Ann"'), ("text", f'"{told}"')])
        else:
            self._add("self", "str", [("prompt", f'"{self._said()}? {told}"')])

    def _add(self, name: str, returns: str, args: Sequence[tuple[str, str]]) -> None:
        number = len(self._types) + 1
        id_ = {"named": self._words[number % len(WORDS)], "lettered": f"{self._words[0][0]}{number}"}.get(
            self._form, f"s{number}"
        )
        written = [f"{name}={value}" for name, value in args]
        if self._chance.random() < 0.1 or (self._form == "numbered" and self._chance.random() < 0.7):
            written[0] = args[0][1]
        start = {"paper": f"{id_}: ", "numbered": f"{number}. "}.get(self._form, f"{id_} = ")
        self._lines.append(f"{start}{name}({', '.join(written)})")
        self._types[id_] = returns
        if returns != "None":
            self._unused.append(id_)

    def _search(self) -> None:
        args = [("query", self._string())]
        if self._chance.random() < 0.4:
            args.append(("k", self._number(int)))
        self._add("search", "str", args)

    def _open_page(self) -> None:
        args = [("address", self._string())]
        if self._chance.random() < 0.4:
            args.append(("parts", f"[{self._text()}, {self._text()}]"))
        self._add("open_page", "dict", args)

    def _count_words(self) -> None:
        self._add("count_words", "int", [("text", self._string())])

    def _measure(self) -> None:
        args = [("image", f'"{self._chance.randint(1, 99)}.png"')]
        if self._chance.random() < 0.4:
            args.append(("scale", self._number(float)))
        self._add("measure", "float", args)

    def _mean(self) -> None:
        values = ", ".join(self._number(float) for _ in range(self._chance.randint(2, 4)))
        self._add("mean", "float", [("values", f"[{values}]")])

    def _join(self) -> None:
        args = [("parts", f"[{self._string()}, {self._string()}]"), ("between", '", "')]
        self._add("join", "str", args[: self._chance.randint(1, 2)])

    def _rate(self) -> None:
        args = [("text", self._string()), ("unit", self._chance.choice(['"stars"', '"points"']))]
        self._add("rate", "int", args[: self._chance.randint(1, 2)])

    def _choose(self) -> None:
        options = self._of("list") or f"[{self._string()}, {self._text()}]"
        self._add("choose", "list", [("options", options), ("count", self._number(int))])

    def _plot(self) -> None:
        points = f'[{{"x": {self._number(float)}}}, {{"x": 1.5, "y": {self._number(float)}}}]'
        args = [("points", points), ("title", self._string()), ("grid", "True")]
        self._add("plot", "str", args[: self._chance.randint(2, 3)])

    def _weigh(self) -> None:
        args = [("weights", f'{{"old": {self._number(float)}, "new": {self._number(float)}}}')]
        if self._chance.random() < 0.3:
            args.append(("precise", "False"))
        self._add("weigh", "float", args)

    def _send(self) -> None:
        args = [("to", '"Ben"'), ("text", self._string()), ("urgent", "True")]
        self._add("send", "None", args[: self._chance.randint(2, 3)])

    def _store(self) -> None:
        self._add("store", "str", [("name", self._text()), ("value", self._string())])
        if self._chance.random() < 0.5:
            self._unused.pop()  # it was called for its effect

    def _of(self, *types: str) -> str | None:
        """A result of one of these types, if there is one, rather one that nothing uses yet."""
        found = [id_ for id_ in self._unused if self._types[id_] in types]
        found = found or [id_ for id_, kind in self._types.items() if kind in types]
        return self._used(self._chance.choice(found)) if found else None

    def _used(self, id_: str) -> str:
        if id_ in self._unused:
            self._unused.remove(id_)
        return f"${id_[1:]}" if self._form == "numbered" else id_

    def _number(self, kind: type) -> str:
        wanted = ("int", "float") if kind is float else ("int",)
        found = self._of(*wanted) if self._chance.random() < 0.7 else None
        if found is None:
            return str(self._chance.randint(1, 40)) if kind is int else f"{self._chance.uniform(0, 9):.2f}"
        return self._chance.choice([found, found, f"{found} * 2", f"max({found}, 1)"])

    def _string(self) -> str:
        chosen = self._of("str") if self._chance.random() < 0.3 else None
        if chosen is not None:
            return chosen
        if not self._types or self._chance.random() < 0.3:
            return self._text()
        ids = self._unused[-2:] or [self._chance.choice(list(self._types))]
        inside = " and ".join(self._inside(id_) for id_ in ids if self._types[id_] != "None")
        return f'"{self._said()} {inside}"' if inside else self._text()

    def _inside(self, id_: str) -> str:
        """A result inside a string."""
        found = self._used(id_)
        if self._form == "numbered":
            return found
        path = {"dict": self._chance.choice(["", "['title']", ".size"]), "list": "[0]"}
        return f"{{{found}{path.get(self._types[id_], '')}}}"

    def _text(self) -> str:
        return f'"{self._said()}"'

    def _said(self) -> str:
        words = [
            "Texas",
            "the old bridge",
            "rain in May",
            "$500 a piece",
            "one {name} each",
            "Zürich",
            "left",
        ]
        return self._chance.choice(words)
