"""What calls take of what there is, as people write it: amounts, rates, and what a machine has.

Whatever can't be read is refused with a ``ValueError`` that says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from llmorch.declare.text import brief, one_line
from llmorch.errors import WrongArgument

CPU = "cpu"
"""How many processors a compute call occupies; how many there are, ``processors`` says."""
GPU_MEMORY = "gpu_memory"
"""Bytes of one GPU's memory."""

Amount: TypeAlias = int | str
"""A whole number, or a size in bytes such as ``"6GiB"``."""

MAX_AMOUNT = 2**63
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]i?B|B)\s*")
_UNITS = {"B": 1} | {
    f"{letter}{i}B": base**power
    for power, letter in enumerate("KMGT", 1)
    for i, base in (("", 1000), ("i", 1024))
}
_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(s|min|h)\s*")
_PERIODS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many calls begin in any ``seconds``."""

    calls: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.calls}/{next(unit for unit, length in _PERIODS.items() if length == self.seconds)}"


@dataclass(frozen=True)
class Supply:
    """What there is of what calls share, beside processors: amounts by name, and each GPU's bytes."""

    named: Mapping[str, int] = field(default_factory=dict)
    gpus: tuple[int, ...] = ()


def amount_of(said: object) -> int:
    """A whole number, or the bytes of a size such as ``"1.5GiB"``. Raises ``ValueError``."""
    if isinstance(said, int) and not isinstance(said, bool):
        amount = said
    elif isinstance(said, str) and (found := _SIZE.fullmatch(said)):
        amount = round(float(found.group(1)) * _UNITS[found.group(2)])
    elif isinstance(said, str) and re.fullmatch(r"\s*\d{1,18}\s*", said):
        amount = int(said)
    else:
        raise ValueError(f'{brief(said)} is neither a whole number nor a size such as "6GiB" or "500MB"')
    if not 0 <= amount < MAX_AMOUNT:
        raise ValueError(f"{brief(said)} is not from 0 to {MAX_AMOUNT - 1}")
    return amount


def amount_text(name: str, amount: int) -> str:
    """An amount for people: ``2 processors``, ``6 GiB of gpu_memory``, ``1 of camera``."""
    if name == CPU:
        return f"{amount} processor{'s' if amount != 1 else ''}"
    for unit in ("TiB", "GiB", "MiB"):
        if amount >= _UNITS[unit]:
            return f"{amount / _UNITS[unit]:.4g} {unit} of {name}"
    return f"{amount} of {name}"


def rate_of(said: object) -> Rate:
    """How many calls of a function may begin in a time, from ``"10/s"``. Raises ``ValueError``."""
    if isinstance(said, Rate):
        return said
    found = _RATE.fullmatch(said) if isinstance(said, str) else None
    if found is None or int(found.group(1)) < 1:
        raise ValueError(f"{brief(said)} is no rate")
    return Rate(int(found.group(1)), _PERIODS[found.group(2)])


def supply_of(said: Mapping[str, Amount | Sequence[Amount]] | None) -> Supply:
    """What there is, from ``{"camera": 1, "gpu_memory": "24GiB"}``; a list of memories is one a GPU.

    Raises ``WrongArgument``.
    """
    named: dict[str, int] = {}
    gpus: tuple[int, ...] = ()
    if said is not None and not isinstance(said, Mapping):
        raise WrongArgument(
            f'resources is a dictionary, as in {{"gpu_memory": "24GiB", "camera": 1}}, not {brief(said)}'
        )
    for resource, amount in (said or {}).items():
        try:
            if resource_name(resource) == CPU:
                raise WrongArgument("how many processors there are, processors= says")
            if resource != GPU_MEMORY:
                named[resource] = amount_of(amount)
            elif isinstance(amount, Sequence) and not isinstance(amount, str | bytes):
                gpus = tuple(amount_of(one) for one in amount)
            else:
                gpus = (amount_of(amount),)
        except ValueError as error:
            raise WrongArgument(f"resources: {one_line(resource)}: {error}") from None
    return Supply(named, gpus)


def resource_name(said: object) -> str:
    """A resource's name. Raises ``ValueError`` for what is none."""
    if isinstance(said, str) and said.isidentifier():
        return said
    raise ValueError(f"{brief(said)} is no name of a resource; write it like gpu_memory or camera")


def shortage(needs: Mapping[str, int], processors: int, supply: Supply) -> str:
    """Why no call that needs this can ever run here; empty where one can."""
    there = dict(supply.named) | {CPU: processors, GPU_MEMORY: max(supply.gpus, default=0)}
    for name, amount in needs.items():
        found = there.get(name, 0)
        if amount <= found:
            continue
        if name == GPU_MEMORY and len(supply.gpus) > 1:
            has = f"the largest of {len(supply.gpus)} GPUs has {amount_text(name, found)}"
        else:
            are = "are" if name == CPU and found != 1 else "is"
            has = f"there {are} {amount_text(name, found)}" if found else "there is none"
        return f"it needs {amount_text(name, amount)}, and {has}"
    return ""
