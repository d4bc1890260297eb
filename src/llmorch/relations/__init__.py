"""Which call uses, excludes or repeats which: the Function-call Relation Graph."""

from llmorch.relations.bounds import lower_bound, remaining_path, unlocking
from llmorch.relations.discover import SameCalls, discover, in_one_form, unused
from llmorch.relations.effects import NOTHING, Touch, named_by, touches
from llmorch.relations.graph import RelationGraph
from llmorch.relations.things import Things

__all__ = [
    "NOTHING",
    "RelationGraph",
    "SameCalls",
    "Things",
    "Touch",
    "discover",
    "in_one_form",
    "lower_bound",
    "named_by",
    "remaining_path",
    "touches",
    "unlocking",
    "unused",
]
