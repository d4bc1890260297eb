"""Reservations for calls that need more than one thing: nobody is overtaken for ever.

A call that doesn't fit may be overtaken by others that take of what it waits for, which
keeps the machine busy, but only ``PATIENCE`` times (aging). From then on what it lacks is
reserved for it as it becomes free. This module must not know any order among calls that fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.declare.resources import GPU_MEMORY
from llmorch.schedule.room import device

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llmorch.schedule.room import Needs, Room

PATIENCE = 8
"""How often calls of the same needs are overtaken before something is reserved for them."""


class Reservations:
    """What is reserved for calls that were overtaken too often, longest first.

    Calls of the same needs stand in one line, whichever run's they are, so it is enough
    to know lines by their needs. Things are reserved one after the other: while the first
    that a line lacks is still in use, all else is too. What was reserved stays so, what runs
    ends, and there are few things, so the first line always comes to its turn.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._overtaken: dict[Needs, int] = {}
        self._reserved: dict[Needs, dict[str, int]] = {}

    def renew(self, offered: Collection[Needs]) -> None:
        """Take note of which lines there are, and of what they lack now."""
        gone = {*self._overtaken, *self._reserved}.difference(offered)
        for needs in gone:
            self.served(needs)
        for needs, reserved in self._reserved.items():
            self._reserve(needs, reserved)

    def _reserve(self, needs: Needs, reserved: dict[str, int]) -> None:
        room = self._room
        for limit in room.limited(needs):
            reserved[limit] = 1
        lacking = room.lacks(needs)
        if not lacking or room.limited(needs) or not reserved.keys().isdisjoint(lacking):
            return
        if GPU_MEMORY in lacking and any(name.startswith(GPU_MEMORY) for name in reserved):
            return
        first = lacking[0]
        if first == GPU_MEMORY:
            reserved[device(room.emptiest(needs.gpu_memory))] = needs.gpu_memory
        else:
            reserved[first] = needs.amounts[first]

    def next(self) -> Needs | None:
        """The first line with a reservation whose turn has come."""
        return next((needs for needs in self._reserved if self._room.fits(needs, self.spare(needs))), None)

    def spare(self, needs: Needs) -> dict[str, int]:
        """What a call must leave alone: all that is reserved for others, or for those before it."""
        spare: dict[str, int] = {}
        for line, reserved in self._reserved.items():
            if line == needs:
                break
            if not self._room.limited(line):
                _raise(spare, reserved)
        return spare

    def waiting(self, offered: Collection[Needs]) -> list[Needs]:
        """The lines that can be overtaken now."""
        room = self._room
        return [
            needs
            for needs in offered
            if not needs.simple
            and needs not in self._reserved
            and room.lacks(needs)
            and not room.limited(needs)
        ]

    def overtaken(self, lines: Collection[Needs], taken: Collection[str]) -> None:
        """Take note that something was taken which these lines waited for."""
        for needs in lines:
            if not set(taken).isdisjoint(self._room.lacks(needs)):
                self._overtaken[needs] = self._overtaken.get(needs, 0) + 1
                if self._overtaken[needs] >= PATIENCE:
                    self._reserved[needs] = {}

    def served(self, needs: Needs) -> None:
        """Take note that a line moved on, or is gone: its next call begins to count anew."""
        self._overtaken.pop(needs, None)
        self._reserved.pop(needs, None)


def _raise(amounts: dict[str, int], other: Mapping[str, int]) -> None:
    """Make each amount at least the other's."""
    for name, amount in other.items():
        amounts[name] = max(amount, amounts.get(name, 0))
