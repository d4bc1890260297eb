"""Text to calls and back: parse, check, render, evaluate, and passes over plans."""

from llmorch.plan.check import Checker, check, error_in
from llmorch.plan.evaluate import evaluate
from llmorch.plan.literals import call_from_json, from_json
from llmorch.plan.parse import Parser, calls_in, parse
from llmorch.plan.passes import mention_unused, unused_results, with_answer, with_ids, with_query
from llmorch.plan.render import render, render_call, render_without_id

__all__ = [
    "Checker",
    "Parser",
    "call_from_json",
    "calls_in",
    "check",
    "error_in",
    "evaluate",
    "from_json",
    "mention_unused",
    "parse",
    "render",
    "render_call",
    "render_without_id",
    "unused_results",
    "with_answer",
    "with_ids",
    "with_query",
]
