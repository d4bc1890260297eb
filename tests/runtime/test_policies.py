"""A policy of somebody's own that breaks its promises ends its own run, and no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmorch import Orchestrator, Processors, WrongArgument, function
from llmorch.errors import PolicyError
from llmorch.schedule.policy import Greedy, Waiting
from llmorch.schedule.room import Needs
from llmorch.schedule.verify import verify
from llmorch.testing import ScriptedModel, run_virtually

WAYS = ("push", "pop", "along", "offered", "drop", "reorder", "clear")


@function(max_concurrency=2)
async def nap(seconds: float, after: object = None) -> float:
    await asyncio.sleep(seconds)
    return seconds


@function
async def add(n: int) -> int:
    await asyncio.sleep(0.1)
    return n


@add.batch
async def add_all(calls: list[dict[str, Any]]) -> list[int]:
    await asyncio.sleep(0.1)
    return [call["n"] for call in calls]


class Raising(Greedy):
    """Raises in one of its methods, from the so-manieth time on."""

    name = "raising"

    def __init__(self, way: str, after: int) -> None:
        super().__init__()
        self.left = after
        self.way = way

    def __getattribute__(self, name: str) -> Any:
        if name in WAYS and name == object.__getattribute__(self, "way"):
            if self.left == 0:
                return self.failing
            self.left -= 1
        return object.__getattribute__(self, name)

    def failing(self, *_: object) -> Any:
        raise ValueError("it\nfails")


NAPS = "\n".join(f"s{n} = nap(seconds={n}.5)" for n in range(1, 7)) + "\ns7 = nap(seconds=1.0, after=s1)"
ADDED = "\n".join(f"t{n} = add(n={n})" for n in range(1, 5))
EVER = {(way, after) for way in ("pop", "offered") for after in (0, 1, 3)} | {("push", 0), ("push", 1)}
PLAN = f"{NAPS}\n{ADDED}"


async def beside(policy: Any, plan: str = PLAN) -> tuple[Any, list[Any], Any]:
    """What came of a run with this policy, of three others, and of a session, on the same processors."""
    async with Processors(2) as shared:
        mine, others = (
            Orchestrator([nap, add], model=ScriptedModel([]), processors=shared, learn=False, policy=one)
            for one in (policy, None)
        )
        runs = [others.start_plan(plan) for _ in range(2)]
        broken = mine.start_plan(plan)
        runs.append(others.start_plan(plan))
        async with others.session() as session:
            told = await asyncio.gather(*(session.call("nap", {"seconds": 0.25}) for _ in range(5)))
        results = [await run for run in runs]
        try:
            came: Any = await broken
        except Exception as error:
            came = error
        door = next(iter(shared._virtual.values()))
        verify(door._core)
        assert door.runs == 0
        assert not door._core.coordinator.held
        return came, results, told


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_a_policy_that_raises_ends_its_own_run_and_no_other(way: str, after: int) -> None:
    came, results, told = run_virtually(beside(lambda: Raising(way, after)))
    assert [result.answer for result in results] == [4] * 3
    assert all(call.status == "completed" for result in results for call in result.calls)
    assert told == [0.25] * 5
    if isinstance(came, Exception):
        assert isinstance(came, PolicyError)
        assert str(came) == f"the policy raising broke its promises: {way} raised ValueError: it fails"
        assert isinstance(came.__cause__, ValueError)
        assert came.result.status == "unresolved"
    else:  # it was never asked that, or not so often
        assert (way, after) not in EVER
        assert came.answer == 4


class Wrong(Greedy):
    """Hands out what it should not."""

    name = "wrong"

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.pushed: list[Waiting] = []

    def push(self, calls: Any) -> None:
        super().push(calls)
        self.pushed += calls

    def pop(self, fits: Any, running: int) -> Any:
        if self.how == "nothing":
            return None
        if self.how == "no call":
            return "s1"
        if self.how == "never submitted":
            return Waiting("s99", 0, Needs())
        if self.how == "what does not fit":
            return super().pop(lambda _: True, running)
        if self.how == "twice" and self.pushed:
            return self.pushed[0]
        return super().pop(fits, running)

    def offered(self, running: int) -> Any:
        return {"no list": 5, "no needs": ["nap"]}.get(self.how, super().offered(running))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no call", "pop handed out 's1', which does not wait"),
        ("nothing", "pop handed out nothing while s1, s2, s3, s4, s5 could run, and nothing else did"),
        ("never submitted", "which does not wait"),
        ("what does not fit", "which does not fit"),
        ("twice", "pop handed out s1, which does not"),
        ("no list", "offered returned 5, and not the needs of calls"),
        ("no needs", "offered returned ['nap'], and not the needs of calls"),
    ],
)
def test_a_policy_that_hands_out_what_it_should_not_ends_its_own_run(how: str, says: str) -> None:
    came, results, told = run_virtually(beside(lambda: Wrong(how)))
    assert [result.answer for result in results] == [4] * 3
    assert told == [0.25] * 5
    assert isinstance(came, PolicyError)
    assert str(came).startswith("the policy wrong broke its promises: ")
    assert says in str(came)


def test_the_calls_of_a_session_whose_policy_raises_end_with_it() -> None:
    async def main() -> None:
        async with Orchestrator(
            [nap], model=ScriptedModel([]), learn=False, policy=lambda: Raising("pop", 2)
        ) as made:
            with pytest.raises(PolicyError, match="pop raised"):
                async with made.session() as session:
                    await asyncio.gather(*(session.call("nap", {"seconds": 1.0}) for _ in range(4)))

    run_virtually(main())


@pytest.mark.parametrize("by_hand", [False, True])
def test_who_goes_on_calling_in_a_session_whose_policy_raised_gets_that_error(by_hand: bool) -> None:
    async def call(session: Any) -> Any:
        try:
            return await session.call("nap", {"seconds": 1.0})
        except PolicyError as error:
            return str(error)

    async def main() -> list[Any]:
        made = Orchestrator([nap], model=ScriptedModel([]), learn=False, policy=lambda: Raising("push", 2))
        session = made.session()
        if by_hand:  # as in the cells of a notebook, each a task of its own
            await asyncio.create_task(session.__aenter__())
            came = [await asyncio.create_task(call(session)) for _ in range(3)]
            with pytest.raises(PolicyError):
                await session.__aexit__(None, None, None)
        else:
            with pytest.raises(PolicyError):
                async with session:
                    came = [await call(session) for _ in range(3)]
        await made.close()
        return came

    says = "the policy raising broke its promises: push raised ValueError: it fails"
    assert run_virtually(main()) == [1.0, says, says]


def test_a_policy_that_can_not_be_made_for_a_run_ends_that_run() -> None:
    made_so_far: list[int] = []

    def twice() -> Greedy:  # once for its name
        made_so_far.append(1)
        if len(made_so_far) > 2:
            raise KeyError("none left")
        return Greedy()

    async def main() -> None:
        async with Orchestrator([nap], model=ScriptedModel([]), learn=False, policy=twice) as made:
            assert (await made.execute("s1 = nap(seconds=1)")).answer == 1
            with pytest.raises(WrongArgument, match="policy can't make a policy: KeyError: 'none left'"):
                await made.execute("s1 = nap(seconds=1)")

    run_virtually(main())


class OneByOne(Greedy):
    """Offers all calls, and hands out none while one runs."""

    name = "one by one"

    def pop(self, fits: Any, running: int) -> Any:
        return None if running else super().pop(fits, running)


def test_a_policy_may_hand_out_less_than_it_offers_beside_others() -> None:
    naps = [f"s{n} = add(n={n})" for n in range(1, 5)] + [
        f"s{n} = nap(seconds=s{n - 4})" for n in range(5, 9)
    ]

    async def main() -> list[Any]:
        async with Processors(2) as shared:
            mine, good = (
                Orchestrator(
                    [nap, add], model=ScriptedModel([]), processors=shared, learn=False, policy=policy
                )
                for policy in (OneByOne, "greedy")
            )
            several = [made.execute("\n".join(naps)) for _ in range(3) for made in (mine, good, mine)]
            return [result.answer for result in await asyncio.gather(*several)]

    assert run_virtually(main()) == [4] * 9


def test_a_policy_that_is_made_anew_for_no_run_is_refused() -> None:
    one = Greedy()
    made = Orchestrator([nap], model=ScriptedModel([]), learn=False, policy=lambda: one)
    with pytest.raises(WrongArgument, match="makes a new policy for each run"):
        made.execute_sync("s1 = nap(seconds=0)")
