"""The providers that are known by name: where each is, which variable has its key, and what it is known not to take."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """An OpenAI-compatible endpoint that a name stands for.

    ``address`` is "" for the openai package's own default. ``key`` is the environment variable of its key, "" where
    it needs none, and ``at`` the one of another address. ``without`` are fields of a request that it refuses.
    """

    name: str
    address: str
    key: str
    at: str
    title: str
    without: frozenset[str] = frozenset()

    def found(self) -> str:
        """The address that the environment has for it, or else its own."""
        said = os.environ.get(self.at, "").strip()
        if said and self.name == "azure":  # of the resource, without the path of its models
            return said if "/openai" in said else f"{said.rstrip('/')}/openai/v1"
        if said and "://" not in said:
            said = f"http://{said}"
        if said and self.name == "ollama" and said.count("/") == 2:  # OLLAMA_HOST has none
            said = f"{said}/v1"
        return said or self.address


_MISTRAL = frozenset({"seed", "stream_options"})
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("openai", "", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OpenAI, or any compatible endpoint"),
        Preset("azure", "", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "a deployment on Azure OpenAI"),
        Preset("ollama", "http://127.0.0.1:11434/v1", "", "OLLAMA_HOST", "Ollama on this machine"),
        Preset("lmstudio", "http://127.0.0.1:1234/v1", "", "LMSTUDIO_BASE_URL", "LM Studio on this machine"),
        Preset("vllm", "http://127.0.0.1:8000/v1", "", "VLLM_BASE_URL", "vLLM on this machine"),
        Preset("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "GROQ_BASE_URL", "Groq"),
        Preset(
            "mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "MISTRAL_BASE_URL", "Mistral", _MISTRAL
        ),
        Preset(
            "deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", "DeepSeek"
        ),
        Preset(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
            "OPENROUTER_BASE_URL",
            "OpenRouter",
        ),
        Preset(
            "together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "TOGETHER_BASE_URL", "Together"
        ),
        Preset("xai", "https://api.x.ai/v1", "XAI_API_KEY", "XAI_BASE_URL", "xAI"),
        Preset(
            "huggingface",
            "https://router.huggingface.co/v1",
            "HF_TOKEN",
            "HUGGINGFACE_BASE_URL",
            "Hugging Face's router",
        ),
    )
}
"""By name, in the order in which they are listed."""
OPENAI = PRESETS["openai"]
