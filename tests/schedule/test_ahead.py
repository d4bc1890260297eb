"""Our policy against the others where every duration is known, on a virtual clock."""

from __future__ import annotations

import random

from llmorch import function
from llmorch.declare.offered import as_functions
from llmorch.plan import check, parse
from llmorch.runtime.simulate import simulate


@function(kind="compute")
def heavy(x: list[int]) -> int: ...


HEAVY = as_functions([heavy])


def test_our_policy_is_never_longer_than_the_others_where_durations_are_known() -> None:
    chance = random.Random(4)
    names = [f"s{at}" for at in range(1, 11)]
    shorter = 0
    for _ in range(300):
        lines = []
        for at, name in enumerate(names):
            used = [other for other in names[:at] if chance.random() < 0.2]
            lines.append(f"{name} = heavy(x=[{', '.join(used)}])")
        plan = check(parse("\n".join(lines)), HEAVY)
        seconds = {name: chance.choice([1.0, 2.0, 3.0, 5.0, 8.0]) for name in names}
        ours, fifo, ranks = (
            simulate(plan, HEAVY, seconds, processors=2, policy=policy, optimize=False).makespan
            for policy in ("critical", "greedy", "exclusive")
        )
        assert ours <= min(fifo, ranks) + 1e-9
        shorter += ours < fifo - 1e-9
    assert shorter > 50
