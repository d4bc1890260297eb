"""The child process of the local model: llama.cpp, serving one model on the loopback.

This module decides how llama.cpp is set up. It must not know what it is asked, and it
imports nothing of this package: it is started for every run, and what it costs is waited for.

The parent writes one JSON line with the settings and then holds standard input open; the
child answers with one JSON line, an address or an error, and ends with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK = 1.0  # seconds between looks for the parent
# Tokens of a prompt that are read at once. With 64 llama.cpp notices within a second that a
# request was cancelled, and reads half as fast; a run that is cancelled ends the process anyway.
_BATCH = 512
_PROMPT_CACHE_MIB = 512  # earlier prompts, kept in memory; the default is 8 GiB


def main() -> None:
    """Load the weights, say where they are served, and wait for the end of standard input."""
    settings = json.loads(sys.stdin.readline())
    parent = settings["parent"]
    if settings["at_once"]:
        _end_with(parent)
    # llama.cpp may print; from here on that goes to the log, and only the answer to standard output.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        # Kept by name until the process ends: the server stops when the object goes.
        server = _serve(settings)
        said = {"address": server.listening_address}
    except ImportError as error:
        said = {"error": _import_advice(str(error))}
    except RuntimeError as error:
        said = {"error": str(error)}
    print(json.dumps(said), file=answer, flush=True)
    if "address" in said:
        _wait_for_the_end_of(parent)
    # Nothing to save, and llama.cpp takes its time to tidy up.
    os._exit(0 if "address" in said else 1)


def _serve(settings: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.n_ctx = settings["context"]
    # Two slots for prompts, which share the context; one is not cleared for the other's request.
    params.n_parallel = 2
    params.kv_unified = True
    params.cache_idle_slots = False
    params.n_batch = params.n_ubatch = _BATCH
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["threads"]
    params.api_keys = [settings["key"]]
    params.slot_save_path = settings["slots"] + "/"
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.verbosity = 1  # errors: the parent shows the last line when loading fails
    params.ui = False
    params.warmup = False  # the first request warms it as well
    params.fit_params = False  # would measure memory first, which takes half a second
    return xllamacpp.Server(params)


def _wait_for_the_end_of(parent: int) -> None:
    """Return once standard input ends, or the parent has: a fork of it may hold the other end open."""
    while os.getppid() == parent and not select.select([sys.stdin], [], [], _LOOK)[0]:
        pass


def _end_with(parent: int) -> None:
    """On Linux, have the kernel end this process with its parent, even while it loads."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def _import_advice(reason: str) -> str:
    if "libgomp" in reason:
        return 'llama.cpp needs the system library libgomp: install "libgomp1" (apt) or "libgomp" (dnf, apk)'
    return f"can't import xllamacpp ({reason}): install llmorch[local]"
