"""The shortest run: two functions and a plan, without a model. Start it by: python examples/hello.py"""

from __future__ import annotations

import asyncio

from llmorch import Orchestrator, function

PLAN = """
s1 = ask(place="Texas")
s2 = ask(place="Florida")
s3 = primes(below=s1)
s4 = primes(below=s2)
s5 = primes(below=s3 + s4)
"""


@function(kind="inout", pure=True)
async def ask(place: str) -> int:
    """Ask somebody for a number, and wait for the answer."""
    await asyncio.sleep(0.5)
    return 50_000 * len(place)


@function(kind="compute", pure=True)
def primes(below: int) -> int:
    """Count the primes below a number."""
    return sum(all(n % factor for factor in range(2, int(n**0.5) + 1)) for n in range(2, below))


if __name__ == "__main__":
    result = Orchestrator([ask, primes], processors=2).execute_sync(PLAN)
    print(result.answer)
    for call in result.calls:
        print(f"{call.id} {call.function:6} {call.dispatched:.2f} s to {call.completed:.2f} s: {call.result}")
