"""What every policy promises, as tests: subclass ``PolicyContract`` in a file of tests, and give the policy.

    from llmorch.testing.policies import PolicyContract

    class TestMine(PolicyContract):
        def policy(self):
            return Mine()

The tests need pytest, and nothing else of it than its way to find them.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from llmorch.declare.decorator import function
from llmorch.declare.offered import as_functions
from llmorch.declare.resources import supply_of
from llmorch.plan import check, parse
from llmorch.schedule import Alone, CallCompleted, CallFailed, Dispatch, Finish, Needs, PlanExtended
from llmorch.schedule.policy import Waiting
from llmorch.schedule.verify import verify

if TYPE_CHECKING:
    from llmorch.schedule import Policy

_WAITS = Needs()
_COMPUTES = Needs(processors=1)


@function(kind="compute", pure=True)
def crunch(after: list[Any]) -> None: ...


@function(pure=True)
async def look(after: list[Any]) -> None: ...


@function(resources={"camera": 1}, pure=True)
async def film(after: list[Any]) -> None: ...


_FUNCTIONS = as_functions([crunch, look, film])


def _waiting(*needs: Needs) -> list[Waiting]:
    return [Waiting(f"s{at}", at, need, (1.0, False)) for at, need in enumerate(needs)]


class PolicyContract:
    """The promises of ``llmorch.Policy``."""

    def policy(self) -> Policy:
        """A new policy object, without any call."""
        raise NotImplementedError

    def _pushed(self, *needs: Needs) -> Policy:
        policy = self.policy()
        policy.push(_waiting(*needs))
        policy.reorder({f"s{at}": (1.0, False) for at in range(len(needs))})
        return policy

    def _all(self, policy: Policy) -> list[str]:
        found: list[str] = []
        while (call := policy.pop(lambda _: True, 0)) is not None:
            assert len(found) < 100, f"it hands out the same calls again and again: {found[:5]} ..."
            found.append(call.id)
        return found

    def test_it_has_a_name(self) -> None:
        assert isinstance(self.policy().name, str)
        assert self.policy().name

    def test_what_was_submitted_is_handed_out_once(self) -> None:
        policy = self._pushed(_WAITS, _COMPUTES, _WAITS)
        assert sorted(self._all(policy)) == ["s0", "s1", "s2"]
        assert policy.pop(lambda _: True, 0) is None

    def test_what_does_not_fit_stays(self) -> None:
        policy = self._pushed(_COMPUTES, _COMPUTES)
        assert policy.pop(lambda _: False, 0) is None
        assert sorted(self._all(policy)) == ["s0", "s1"]

    def test_it_offers_what_it_would_hand_out(self) -> None:
        policy = self._pushed(_COMPUTES, _WAITS)
        for _ in range(100):
            if not (offered := list(policy.offered(0))):
                break
            call = policy.pop(lambda needs: needs in offered, 0)
            assert call is not None, f"it offers {offered}, and hands out nothing"
            assert call.needs in offered
        assert policy.pop(lambda _: True, 0) is None

    def test_calls_that_go_along_have_the_same_needs_and_are_no_more_than_asked_for(self) -> None:
        policy = self._pushed(_COMPUTES, _COMPUTES, _COMPUTES, _WAITS)
        first = policy.pop(lambda needs: needs == _COMPUTES, 0)
        if first is None:  # its turn has not come
            return
        along = policy.along(_COMPUTES, 1)
        assert len(along) <= 1
        assert all(call.needs == _COMPUTES for call in along)
        rest = self._all(policy)
        assert sorted([first.id, *(call.id for call in along), *rest]) == ["s0", "s1", "s2", "s3"]

    def test_a_call_that_is_dropped_is_not_handed_out(self) -> None:
        policy = self._pushed(_WAITS, _COMPUTES)
        policy.drop("s0")
        policy.drop("never submitted")
        assert self._all(policy) == ["s1"]

    def test_nothing_is_left_after_clear(self) -> None:
        policy = self._pushed(_WAITS, _COMPUTES)
        policy.clear()
        assert (self._all(policy), list(policy.offered(0))) == ([], [])

    def test_the_same_calls_come_in_the_same_order_again(self) -> None:
        needs = [random.Random(7).choice([_WAITS, _COMPUTES]) for _ in range(20)]
        assert self._all(self._pushed(*needs)) == self._all(self._pushed(*needs))

    def test_every_call_of_every_plan_is_made_within_what_there_is(self) -> None:
        for seed in range(60):
            self._play(random.Random(seed))

    def _play(self, chance: random.Random) -> None:
        names = [f"s{at}" for at in range(1, chance.randint(1, 14) + 1)]
        lines = []
        for at, name in enumerate(names):
            used = [other for other in names[:at] if chance.random() < 0.25]
            lines.append(f"{name} = {chance.choice(sorted(_FUNCTIONS))}(after=[{', '.join(used)}])")
        plan = check(parse("\n".join(lines)), _FUNCTIONS)
        run = Alone(_FUNCTIONS, processors=2, policy=self.policy(), supply=supply_of({"camera": 1}))
        commands = run.handle(PlanExtended(plan.calls, complete=True), at=0.0)
        running: list[Dispatch] = []
        finished, now = False, 0.0
        while True:
            running += [command for command in commands if isinstance(command, Dispatch)]
            finished = finished or any(isinstance(command, Finish) for command in commands)
            verify(run.core)
            if not running:
                break
            now += 1.0
            ended = running.pop(chance.randrange(len(running)))
            failed = chance.random() < 0.1
            key = (ended.call, ended.attempt)
            commands = run.handle(CallFailed(*key, "no") if failed else CallCompleted(*key), at=now)
        assert finished, f"calls wait for ever: {run.states}"
