"""A callable has one limit on one set of processors: one count for all its calls, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import Any

import pytest

from llmorch import FunctionError, Orchestrator, Processors, function
from llmorch.testing import ScriptedModel, run_virtually

DECLARED: list[dict[str, Any]] = [
    {},
    {"max_concurrency": 2},
    {"max_concurrency": 5},
    {"rate": "10/s"},
    {"rate": "3/s"},
    {"max_concurrency": 2, "rate": "3/s"},
]


async def work(n: int) -> int:
    return n


class Service:
    """An object of which each method is a callable of its own."""

    async def ask(self, n: int) -> int:
        return n


def offering(shared: Processors, said: dict[str, Any], call: Any = work, **more: Any) -> Orchestrator:
    return Orchestrator(
        [function(**said, **more)(call)], model=ScriptedModel([]), processors=shared, learn=False
    )


@pytest.mark.parametrize("first", DECLARED, ids=str)
@pytest.mark.parametrize("second", DECLARED, ids=str)
def test_other_limits_of_the_same_callable_are_refused_while_there_are_some(first: Any, second: Any) -> None:
    gc.collect()
    shared = Processors(1)
    one = offering(shared, first)
    if first == second:
        assert offering(shared, second).functions["work"].max_concurrency == first.get("max_concurrency")
    else:
        with pytest.raises(
            FunctionError, match="another orchestrator on these Processors declares"
        ) as refused:
            offering(shared, second)
        for said in (first, second):
            assert all(str(value) in str(refused.value) for value in said.values())
        with pytest.raises(FunctionError, match="other_name: another orchestrator"):
            offering(shared, second, name="other_name")
        assert offering(Processors(1), second).processors == 1
    assert one.functions["work"].max_concurrency == first.get("max_concurrency")
    del one
    gc.collect()
    assert not shared._offered
    assert offering(shared, second).functions["work"].max_concurrency == second.get("max_concurrency")


def test_methods_of_two_objects_have_limits_of_their_own() -> None:
    shared = Processors(1)
    some = [
        Orchestrator(
            [function(max_concurrency=most, name="ask")(Service().ask)],
            model=ScriptedModel([]),
            processors=shared,
            learn=False,
        )
        for most in (2, 5)
    ]
    assert [one.functions["ask"].max_concurrency for one in some] == [2, 5]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("most", "rate"), [(2, None), (None, "3/s"), (2, "3/s"), (1, "10/s")])
def test_all_calls_of_a_callable_have_one_count_and_each_run_its_turns(
    seed: int, most: int | None, rate: str | None
) -> None:
    chance = random.Random(seed)
    began: list[float] = []
    ended: dict[str, float] = {}
    inside = 0
    highest = 0

    async def limited(run: str, seconds: float) -> float:
        nonlocal inside, highest
        inside += 1
        highest = max(highest, inside)
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(seconds)
        inside -= 1
        ended[run] = asyncio.get_running_loop().time()
        return seconds

    counts = [chance.randint(1, 12) for _ in range(4)]

    async def main() -> None:
        async with Processors(1) as shared:
            # Each declares it anew, under a name of its own.
            some = [
                offering(shared, {"max_concurrency": most, "rate": rate}, limited, name=f"limited_{n}")
                for n in range(len(counts))
            ]
            plans = [
                "\n".join(
                    f's{at} = limited_{n}(run="{n}", seconds={chance.choice([0.1, 0.5, 1.0])})'
                    for at in range(1, count + 1)
                )
                for n, count in enumerate(counts)
            ]
            results = await asyncio.gather(
                *(one.execute(plan) for one, plan in zip(some, plans, strict=True))
            )
            assert [len(result.calls) for result in results] == counts
            assert all(call.status == "completed" for result in results for call in result.calls)

    run_virtually(main())
    assert highest <= (most or sum(counts))
    if rate is not None:
        calls = int(rate.partition("/")[0])
        late = zip(began, began[calls:], strict=False)
        assert all(later - earlier >= 1 - 1e-9 for earlier, later in late)
    # Of runs that wait for the same, none has to wait until a longer one is done.
    shortest, longest = min(range(4), key=counts.__getitem__), max(range(4), key=counts.__getitem__)
    if counts[longest] > 2 * counts[shortest] + 2:
        assert ended[str(shortest)] < ended[str(longest)]
