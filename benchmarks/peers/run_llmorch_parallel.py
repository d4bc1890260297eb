"""LLMOrch with its technique ``parallel``: the same calls in one turn, as other executors get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import llmorch
from benchmarks.peers.columns import Setup, main
from benchmarks.peers.run_llmorch import batch, running

if TYPE_CHECKING:
    from collections.abc import Callable


def adapter(setup: Setup) -> Callable[[], object]:
    """The same functions and processors as for the default technique."""
    return running(setup, "parallel", batch, "Answer: done")


if __name__ == "__main__":
    main(adapter, llmorch.__version__)
