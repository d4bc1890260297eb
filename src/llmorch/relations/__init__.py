"""Which call uses, excludes or repeats which: the Function-call Relation Graph."""

from llmorch.relations.bounds import critical_path, lower_bound, remaining_path, unlocking
from llmorch.relations.discover import discover
from llmorch.relations.effects import NOTHING, Touch, named_by, touches
from llmorch.relations.graph import RelationGraph
from llmorch.relations.same import SameCalls, in_one_form
from llmorch.relations.things import Things
from llmorch.relations.unused import unused
from llmorch.relations.verify import verify

__all__ = [
    "NOTHING",
    "RelationGraph",
    "SameCalls",
    "Things",
    "Touch",
    "critical_path",
    "discover",
    "in_one_form",
    "lower_bound",
    "named_by",
    "remaining_path",
    "touches",
    "unlocking",
    "unused",
    "verify",
]
