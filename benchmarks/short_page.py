"""The paper's question 83: a search returns too few words, and the call that reads them fails.

The question is one of the sample's, whose page is longer than a search returns by itself. It
is answered once the search is made again for more words.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.comparing import set_named
from benchmarks.invented import SAMPLE
from benchmarks.policies import markdown_table
from llmorch import LLMOrchError, Orchestrator

if TYPE_CHECKING:
    from benchmarks.policies import Row
    from llmorch import Result
    from llmorch.models.model import Model

QUESTION = "p9"


def recovered(model: Model) -> tuple[Result | None, bool]:
    """What came of the question, and whether the answer is right."""
    return asyncio.run(_recovered(model))


async def _recovered(model: Model) -> tuple[Result | None, bool]:
    chosen = set_named("parallelqa")
    question = next(one for one in chosen.questions(SAMPLE) if one.id == QUESTION)
    with tempfile.TemporaryDirectory(prefix="llmorch-") as folder:
        work = Path(folder)
        functions = chosen.functions(SAMPLE, work)
        async with Orchestrator(
            functions, model=model, examples=chosen.examples, processors=2, learn=False
        ) as orchestrator:
            try:
                result = await orchestrator.run(question.text)
            except LLMOrchError as error:
                return error.result, False
        return result, result.status == "answered" and chosen.right(question, result.answer, work)


def markdown(name: str, result: Result | None, *, right: bool) -> str:
    """One row for each recovery of the run."""
    kept = [one for one in result.recoveries if one.kind == "recover"] if result else []
    rows: list[Row] = [
        {
            "failed": ", ".join(one.failed),
            "changed": "; ".join(f"`{text}`" for text in one.changed.values()),
            "again": ", ".join(one.again),
        }
        for one in kept
    ]
    table = markdown_table(
        {title: lambda row, key=key: str(row[key]) for title, key in _COLUMNS.items()}, rows
    )
    outcome = "right" if right else "wrong" if result and result.status == "answered" else "none"
    return f"{table}\n\nModel {name}: {len(kept)} recoveries; the answer is {outcome}."


_COLUMNS = {"failed": "failed", "repaired": "changed", "made again": "again"}
