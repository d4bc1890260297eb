"""The model behind a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.errors import ModelError

if TYPE_CHECKING:
    from llmorch.models.model import Model


def model_named(spec: str, *, base_url: str | None = None, progress: Any = None) -> Model:
    """The model behind a name: ``local``, ``local:0.5b``, ``local:FILE.gguf``, ``openai:NAME``, ``recorded:FILE``.

    Nothing is loaded or connected to yet. Raises ``ModelError`` for a name that isn't one.
    """
    provider, _, name = spec.partition(":")
    if provider == "local":
        from llmorch.models.local import LocalModel

        return LocalModel(spec, progress=progress)
    if provider == "openai" and name:
        from llmorch.models.openai import OpenAIModel

        return OpenAIModel(name, base_url=base_url)
    if provider == "recorded" and name:
        from llmorch.models.recorded import RecordedModel

        return RecordedModel(name)
    raise ModelError(
        f"there is no model {spec!r}; write local, local:0.5b, local:/path/file.gguf, openai:NAME or recorded:FILE"
    )


def model_of(said: object, *, base_url: str | None = None) -> Model:
    """The model that a person hands over, by name or itself. Raises ``ModelError`` for what is neither."""
    if isinstance(said, str):
        return model_named(said, base_url=base_url)
    if not hasattr(said, "stream"):
        raise ModelError(f'model is a name, such as "local" or "openai:NAME", or a Model, not {said!r}')
    model: Model = said  # type: ignore[assignment]
    return model
