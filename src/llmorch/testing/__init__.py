"""What users test with: models that need no model, time that needs no waiting, and what the ports promise.

``ScriptedModel`` replies from a list. ``RecordedModel`` records real exchanges to a file
once and replays them. ``simulate`` runs a plan on a virtual clock; ``run_virtually`` runs
coroutines on one, and so what an orchestrator really does (``VirtualLoop`` is its event loop).
``PlaceContract`` in ``llmorch.testing.places``, ``PolicyContract`` in ``policies`` and ``ModelContract`` in ``models``
are tests of what each port promises.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmorch.models.recorded import RecordedModel
    from llmorch.models.scripted import ScriptedModel
    from llmorch.runtime.simulate import simulate
    from llmorch.testing.clock import VirtualLoop, run_virtually

__all__ = ["RecordedModel", "ScriptedModel", "VirtualLoop", "run_virtually", "simulate"]

_HOMES = {
    "RecordedModel": "models.recorded",
    "ScriptedModel": "models.scripted",
    "VirtualLoop": "testing.clock",
    "run_virtually": "testing.clock",
    "simulate": "runtime.simulate",
}


def __getattr__(name: str) -> Any:
    # Another process that calls a function of ``sample`` imports this too, and needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module 'llmorch.testing' has no attribute {name!r}")
    return getattr(import_module(f"llmorch.{_HOMES[name]}"), name)
