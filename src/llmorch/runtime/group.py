"""The end of a group of tasks, by the error for which they are stopped: no frame of an error leads to it.

A frame that an error has come through and that refers to it keeps every value there until the
collector of cycles runs; the frames of ``asyncio.TaskGroup`` do.
"""

from __future__ import annotations

import asyncio


async def end_group(group: asyncio.TaskGroup, error: BaseException | None) -> BaseException | None:
    """Wait for the tasks, which are cancelled where there is an error; what all ended with, with no group around it."""
    instead = None if error is None else asyncio.CancelledError()  # the group doesn't see the error
    try:
        await group.__aexit__(None if instead is None else type(instead), instead, None)
    except asyncio.CancelledError as cancelled:
        cancelled.__traceback__ = None
        return error if cancelled is instead else cancelled
    except BaseExceptionGroup as failed:
        failed.__traceback__ = None
        return failed.exceptions[0]
    return error


async def raised(defect: Exception) -> None:
    """Fail with this error, as a task of a group."""
    try:
        raise defect
    finally:
        del defect
