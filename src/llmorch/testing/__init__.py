"""What users test with: models that need no model, and time that needs no waiting.

``ScriptedModel`` replies from a list. ``RecordedModel`` records real exchanges to a file
once and replays them. ``simulate`` runs a plan on a virtual clock; ``run_virtually`` runs
coroutines on one, and so what an orchestrator really does (``VirtualLoop`` is its event loop).
"""

from __future__ import annotations

from llmorch.models.recorded import RecordedModel
from llmorch.models.scripted import ScriptedModel
from llmorch.runtime.simulate import simulate
from llmorch.testing.clock import VirtualLoop, run_virtually

__all__ = ["RecordedModel", "ScriptedModel", "VirtualLoop", "run_virtually", "simulate"]
