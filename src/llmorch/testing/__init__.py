"""What users test with: models that need no model, and time that needs no waiting.

``ScriptedModel`` replies from a list. ``RecordedModel`` records real exchanges to a file
once and replays them. ``simulate`` runs a plan on a virtual clock.
"""

from __future__ import annotations

from llmorch.models.recorded import RecordedModel
from llmorch.models.scripted import ScriptedModel
from llmorch.runtime.simulate import simulate

__all__ = ["RecordedModel", "ScriptedModel", "simulate"]
