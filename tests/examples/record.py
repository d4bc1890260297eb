"""Record the examples' exchanges with the local model: python -m tests.examples.record [NAME ...]

The tests replay them. Record again after a change to a prompt, a query or an example's
functions; the weights are needed, and a few minutes.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from llmorch import Orchestrator, Processors
from llmorch.models.local import LocalModel
from llmorch.places.files import load_file
from llmorch.testing import RecordedModel
from tests.examples.loading import EXAMPLES

RECORDED = Path(__file__).parent / "recorded"
PROCESSORS = {"seo_audit": 2, "purchase_intent": 3, "encryption": 2}
"""Each example and the processors it has in the paper."""


def orchestrator_for(
    name: str, model: RecordedModel, processors: int | Processors | None = None
) -> Orchestrator:
    """The example as its README runs it, on this model."""
    folder = EXAMPLES / name
    module = load_file(str(folder / "functions.py"))
    offered = [value for value in vars(module).values() if hasattr(value, "__llmorch_function__")]
    return Orchestrator(
        offered,
        model=model,
        processors=processors or PROCESSORS[name],
        examples=folder / "examples.plans",
    )


def query_of(name: str) -> str:
    """The example's query."""
    return (EXAMPLES / name / "query.txt").read_text(encoding="utf-8").strip()


async def record(name: str) -> None:
    """Run one example on the local model and keep what was said."""
    path = RECORDED / f"{name}.jsonl"
    path.unlink(missing_ok=True)
    async with orchestrator_for(name, RecordedModel(path, record=LocalModel())) as orchestrator:
        result = await orchestrator.run(query_of(name))
    print(f"{name}: {result.status}, {result.makespan:.1f} s\n{result.as_json()['plan']}\n{result.answer}\n")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or PROCESSORS:
        asyncio.run(record(chosen))
