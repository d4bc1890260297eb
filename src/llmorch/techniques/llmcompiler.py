"""LLMCompiler (arXiv 2312.04511): a streamed plan, a joiner, and dynamic replanning.

The planner's calls start while it writes, each as soon as what it uses has ended (the
task fetching unit and the executor are the scheduler and the coordinator, with data
relations and the policy ``greedy``). The joiner answers or asks for more; then the
planner writes the calls that are still needed, and may use every earlier result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.techniques.conversation import WritePlan
from llmorch.techniques.judging import until_answered
from llmorch.techniques.prompts.plan import translate

if TYPE_CHECKING:
    from llmorch.techniques.conversation import Answer, Conversation, Draft, Task


def llmcompiler(task: Task) -> Conversation[Answer]:
    """Plan, run, join; plan again as often as ``task.replans`` allows.

    A plan that can't be run is one whose results are not enough: the paper has no other repair.
    """
    draft: Draft = yield WritePlan(translate(task), task.query)
    return (yield from until_answered(task, draft.plan, f"the plan could not be run: {draft.error}"))
