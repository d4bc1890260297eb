"""The local model: llama.cpp in a process of its own, spoken to over the loopback.

This module decides when that process starts and ends, what fits into its context, and
what it remembers of a prompt. How a request is worded is ``openai.py``'s business, how
llama.cpp is set up is ``server.py``'s. It must not know what the conversation is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import weakref
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from llmorch.errors import ModelError
from llmorch.models import fitting
from llmorch.models.model import Finished, ModelRequest, Text
from llmorch.models.openai import OpenAIModel
from llmorch.models.slots import Slots
from llmorch.models.weights import Weights, cache_folder, choose, find

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from llmorch.functions import Kind
    from llmorch.models.sources import Progress
