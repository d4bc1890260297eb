"""A model that is asked where others fail."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.errors import ModelError, ToolsRefused
from llmorch.models.model import Finished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from llmorch.declare.functions import Kind
    from llmorch.models.model import Model, ModelRequest, Piece


class Fallback:
    """Several models as one: each is asked where those before it fail before they say anything.

    It has the first one's name, and can what all of them can.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = tuple(models)
        self.name = self._models[0].name

    @property
    def kind(self) -> Kind:
        return "compute" if any(model.kind == "compute" for model in self._models) else "inout"

    @property
    def constrains(self) -> bool:
        return all(model.constrains for model in self._models)

    @property
    def calls_tools(self) -> bool:
        return all(model.calls_tools for model in self._models)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Reply to ``request``, piece by piece."""
        failed: list[str] = []
        for model in self._models:
            said = False
            try:
                async with aclosing(model.stream(request)) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        said = True
                        yield _noted(piece, model, failed)
                    return
            except ToolsRefused:
                raise
            except ModelError as error:
                if said or model is self._models[-1]:
                    raise
                failed.append(str(error))

    async def close(self) -> None:
        """End what each of them has started."""
        for model in self._models:
            await model.close()


def _noted(piece: Piece, model: Model, failed: Sequence[str]) -> Piece:
    """A piece; the last one says who was asked instead of whom, and why."""
    if not failed or not isinstance(piece, Finished):
        return piece
    return replace(piece, notes=(*piece.notes, f"{model.name} was asked instead: {'; '.join(failed)}"))
