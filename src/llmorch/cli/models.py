"""The list of models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmorch.cli.end import columns
from llmorch.machine import NoHome

if TYPE_CHECKING:
    from llmorch.models.weights import Weights


def listed() -> list[dict[str, Any]]:
    """Every model by name: what it is, where from, how large, and whether it is here."""
    from llmorch.models.endpoint import shown
    from llmorch.models.presets import PRESETS
    from llmorch.models.weights import CATALOGUE, present

    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "model": weights.title,
            "from": weights.repository,
            "licence": weights.licence,
            "bytes": weights.size,
            "present": present(weights),
            "path": _path(weights),
        }
        for name, weights in CATALOGUE.items()
    ]
    rows.append({"name": "local:FILE.gguf", "model": "any GGUF file", "from": "your disk", "present": None})
    rows += [
        {
            "name": f"{preset.name}:NAME",
            "model": preset.title,
            "from": shown(preset.found()) or f"the provider, {preset.at} or --base-url",
            "key": preset.key or None,
            "present": preset.key in os.environ if preset.key else None,
        }
        for preset in PRESETS.values()
    ]
    return rows


def _path(weights: Weights) -> str | None:
    try:
        return str(weights.path)
    except NoHome:
        return None


def table(rows: list[dict[str, Any]]) -> str:
    """The list as lines of text."""
    lines = [("name", "model", "from", "size", "present")]
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.0f} MB" if "bytes" in row else ""
        present = {True: "yes", False: "no", None: ""}[row["present"]]
        if row.get("key"):
            present = "key set" if row["present"] else f"no {row['key']}"
        lines.append((row["name"], row["model"], row["from"], size, present))
    return "\n".join(columns(lines))
