"""What this package logs of exceptions that others raise: bounded, and without the keys that they quote."""

from __future__ import annotations

import logging

from llmorch.places.failure import described


class _Described(logging.Filter):
    """Writes an exception as a failed call's is written; handlers would write all that it says."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and (error := record.exc_info[1]) is not None:
            record.exc_text, record.exc_info = described(error)[1].rstrip("\n"), None
        return True


log = logging.getLogger("llmorch")
log.addFilter(_Described())
