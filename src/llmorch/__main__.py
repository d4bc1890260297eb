"""``python -m llmorch`` is the program ``llmorch``."""

from llmorch.cli import main

main()
