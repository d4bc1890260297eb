"""Our policies keep the contract that a stranger's is held to, and one that doesn't keep it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmorch.schedule.policy import Barrier, CriticalPath, Exclusive, Greedy, Sequential
from llmorch.testing.policies import PolicyContract

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from llmorch import Policy
    from llmorch.schedule import Needs
    from llmorch.schedule.policy import Waiting


class TestCriticalPath(PolicyContract):
    def policy(self) -> Policy:
        return CriticalPath()


class TestGreedy(PolicyContract):
    def policy(self) -> Policy:
        return Greedy()


class TestSequential(PolicyContract):
    def policy(self) -> Policy:
        return Sequential()


class TestBarrier(PolicyContract):
    def policy(self) -> Policy:
        return Barrier()


class TestExclusive(PolicyContract):
    def policy(self) -> Policy:
        return Exclusive()


class Loses(Greedy):
    """Forgets a call that doesn't fit."""

    def pop(self, fits: Callable[[Needs], bool], running: int) -> Waiting | None:
        call = super().pop(lambda _: True, running)
        return call if call is not None and fits(call.needs) else None


class Promises(Greedy):
    """Offers what it doesn't have."""

    def offered(self, running: int) -> Collection[Needs]:
        from llmorch.schedule import Needs

        return [*super().offered(running), Needs(processors=2)]


@pytest.mark.parametrize(
    ("policy", "promise"),
    [
        (Loses, "test_what_does_not_fit_stays"),
        (Promises, "test_it_offers_what_it_would_hand_out"),
        (Promises, "test_nothing_is_left_after_clear"),
    ],
)
def test_a_policy_that_breaks_a_promise_fails(policy: type[Greedy], promise: str) -> None:
    class Held(PolicyContract):
        def policy(self) -> Policy:
            return policy()

    with pytest.raises(AssertionError):
        getattr(Held(), promise)()
