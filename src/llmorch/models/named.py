"""The model behind a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.arguments import called
from llmorch.declare.text import brief
from llmorch.errors import UnknownModel
from llmorch.models.endpoint import check_address
from llmorch.models.model import is_model
from llmorch.models.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.models.model import Model

_EXPECTED = 'a name, such as "local" or "openai:NAME"'


def model_named(
    spec: str, *, base_url: str | None = None, progress: Any = None, options: Mapping[str, Any] | None = None
) -> Model:
    """The model behind a name: ``local``, ``local:0.5b``, ``local:FILE.gguf``, ``openai:NAME``, ``recorded:FILE``.

    Before the name of a model may stand that of any provider of ``llmorch.models.presets``.

    ``options`` are further arguments of ``OpenAIModel``. Nothing is loaded or connected to yet.
    Raises ``UnknownModel`` for a name that isn't one.
    """
    if not isinstance(spec, str):
        raise UnknownModel(f"model is {_EXPECTED}, not {brief(spec)}")
    check_address(base_url)
    called("progress", progress, "a function of what is done, the total, and the source")
    provider, _, name = spec.partition(":")
    if options and provider not in PRESETS:
        raise UnknownModel(f"options are for models of a server, and {brief(spec)} is none")
    if provider == "local":
        from llmorch.models.local import LocalModel

        return LocalModel(spec, progress=progress)
    if provider in PRESETS and name:
        from llmorch.models.openai import OpenAIModel

        return OpenAIModel(name, base_url=base_url, preset=PRESETS[provider], **(options or {}))
    if provider == "recorded" and name:
        from llmorch.models.recorded import RecordedModel

        return RecordedModel(name)
    raise UnknownModel(
        f"there is no model {brief(spec)}; write local, local:0.5b, local:/path/file.gguf, openai:NAME or the like "
        "(llmorch models lists them), or recorded:FILE"
    )


def models_of(said: object, fallback: object, *, base_url: str | None = None) -> Model:
    """A model with others that are asked where it fails, each by name or itself. Raises ``UnknownModel``."""
    first = model_of(said, base_url=base_url)
    if fallback is None or fallback == ():
        return first
    if not isinstance(fallback, list | tuple):
        raise UnknownModel(
            f'fallback is a list of models, as in ["groq:NAME", "local"], not {brief(fallback)}'
        )
    from llmorch.models.fallback import Fallback

    try:
        return Fallback([first, *map(model_of, fallback)])
    except UnknownModel as error:
        raise UnknownModel(f"fallback: {error}") from None


def model_of(said: object, *, base_url: str | None = None) -> Model:
    """The model that a person hands over, by name or itself. Raises ``UnknownModel`` for what is neither."""
    if isinstance(said, str):
        return model_named(said, base_url=base_url)
    check_address(base_url)
    if not is_model(said):
        raise UnknownModel(f"model is {_EXPECTED}, or a Model, not {brief(said)}")
    model: Model = said  # type: ignore[assignment]
    return model
