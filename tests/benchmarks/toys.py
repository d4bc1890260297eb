"""Two invented systems, in the form of the published ones: for the sample, and as an example.

They declare their effects themselves, as one's own classes do.
"""

from __future__ import annotations

from typing import Any

from llmorch import function, stateful


@stateful
class Pantry:
    """Jars by name; each holds a number of things."""

    def __init__(self) -> None:
        self.jars: dict[str, int] = {}
        self.open = True

    def _load_scenario(self, scenario: dict[str, Any]) -> None:
        self.jars = dict(scenario.get("jars", {}))

    @function(reads=["{self}/door"], writes=["{self}/jar/{jar}"])
    def take(self, jar: str, count: int = 1) -> dict[str, Any]:
        """Take things out of a jar."""
        if not self.open or self.jars.get(jar, 0) < count:
            return {"error": f"{count} of {jar} can't be taken"}
        self.jars[jar] -= count
        return {"left": self.jars[jar]}

    @function(reads=["{self}/door", "{self}/jar/{source}"], writes=["{self}/jar/{target}"])
    def copy_count(self, source: str, target: str) -> dict[str, Any]:
        """Fill a jar as another one is filled."""
        if source not in self.jars or target not in self.jars:
            raise KeyError(f"there is no {source} or no {target}")
        self.jars[target] = self.jars[source]
        return {"left": self.jars[target]}

    @function(reads=["{self}/jar/*"])
    def count(self) -> dict[str, Any]:
        """How much there is of everything."""
        return dict(self.jars)

    def lock(self) -> None:
        """Close it, so that nothing can be taken."""
        self.open = False

    @function(effects="none")
    def dozens(self, count: int) -> dict[str, Any]:
        """How many dozens a number is."""
        return {"dozens": count / 12}


@stateful
class Till:
    """Money, and a numbered list of what was paid."""

    def __init__(self) -> None:
        self.money = 0.0
        self.paid: dict[int, float] = {}

    def _load_scenario(self, scenario: dict[str, Any]) -> None:
        self.money = scenario.get("money", 0.0)

    def pay(self, amount: float) -> dict[str, Any]:
        """Pay an amount; the receipts are numbered."""
        self.money += amount
        self.paid[len(self.paid) + 1] = amount
        return {"receipt": len(self.paid), "money": self.money}

    @function(reads=["{self}"])
    def receipts(self) -> dict[str, Any]:
        """All receipts."""
        return {"paid": self.paid}
