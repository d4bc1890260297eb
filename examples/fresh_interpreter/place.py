"""A place for calls: each job is made in a Python interpreter of its own, which ends with it.

Slow to begin, but nothing that a function leaves behind in its process can matter to the next one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from llmorch import CallError
from llmorch.places.as_one import AsOne
from llmorch.places.failure import late
from llmorch.places.jobs import Jobs
from llmorch.places.portable import packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch.places.port import End, Job, Work

PROGRAM = """
import os, sys
sys.path[:] = {path!r}
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what the function prints is no answer
from llmorch.places.portable import made
answers.write(made(sys.stdin.buffer.read()))
"""


class FreshInterpreter:
    """Makes each job in an interpreter of its own."""

    def __init__(self) -> None:
        self._jobs = Jobs()

    def begin(self, job: Job, ended: Callable[[Sequence[End]], None]) -> Work:
        """Start a job."""
        return self._jobs.begin(job, self._made(job), ended)

    async def close(self) -> None:
        """Stop what runs."""
        await self._jobs.close()

    async def _made(self, job: Job) -> Sequence[End]:
        """What the calls of a job came to."""
        as_one = AsOne(job)
        if as_one.is_empty:
            return as_one.ends()
        try:
            answer = await _answer(job, packed(as_one.function, as_one.args))
            return as_one.ends(unpacked(answer))
        except CallError as error:
            return as_one.ends(error=error)


async def _answer(job: Job, question: bytes) -> bytes:
    """What a new interpreter says. When this is cancelled, the interpreter is gone before it returns."""
    name, timeout = job.function.name, job.function.timeout
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.format(path=sys.path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us, and it is a group of its own
    )
    try:
        async with asyncio.timeout(timeout):
            answer, _ = await process.communicate(question)
    except TimeoutError:
        raise late(name, timeout) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # with what the function started
            await process.wait()
    if process.returncode:
        raise CallError(f"{name} ended its interpreter (exit status {process.returncode})")
    return answer
