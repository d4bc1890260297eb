"""The plans and the examples of plans: the canonical form, and calls that can be made."""

from __future__ import annotations

import pytest

from llmorch import check, parse, render
from llmorch.declare.offered import as_functions, declared_in
from tests.examples.loading import EXAMPLES, load

FOLDERS = ("encryption", "purchase_intent", "seo_audit", "skeleton_of_thought")


def offered(folder: str) -> dict[str, object]:
    module = load(EXAMPLES / folder / "functions.py")
    return as_functions(item for item in vars(module).values() if callable(item) and declared_in(item))


def plans(folder: str) -> list[str]:
    blocks = (EXAMPLES / folder / "examples.plans").read_text(encoding="utf-8").split("\n\n")
    return [
        "".join(f"{line}\n" for line in block.splitlines() if not line.startswith("#")) for block in blocks
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_plan_is_canonical_and_can_be_run(folder: str) -> None:
    texts = [(EXAMPLES / folder / "plan.txt").read_text(encoding="utf-8"), *plans(folder)]
    assert len(texts) >= 5
    for text in texts:
        plan = parse(text)
        assert render(plan).strip() == text.strip()
        check(plan, offered(folder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_result_is_used_by_a_later_call(folder: str) -> None:
    for text in [(EXAMPLES / folder / "plan.txt").read_text(encoding="utf-8"), *plans(folder)]:
        *others, last = parse(text).calls
        used = {name for call in [*others, last] for name in call.uses}
        assert {call.id for call in others} == used


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_example_is_the_query_itself(folder: str) -> None:
    query = (EXAMPLES / folder / "query.txt").read_text(encoding="utf-8")
    examples = (EXAMPLES / folder / "examples.plans").read_text(encoding="utf-8")
    assert query.split(".", maxsplit=1)[0] not in examples.replace("\n# ", " ")
