"""Which call uses or excludes which: the Function-call Relation Graph."""

from llmorch.relations.bounds import critical_path, lower_bound, remaining_path, unlocking
from llmorch.relations.discover import discover
from llmorch.relations.effects import Touch, named_by, touches
from llmorch.relations.graph import RelationGraph
from llmorch.relations.verify import verify

__all__ = [
    "RelationGraph",
    "Touch",
    "critical_path",
    "discover",
    "lower_bound",
    "named_by",
    "remaining_path",
    "touches",
    "unlocking",
    "verify",
]
