"""Functions that live in a file or a module, loaded by path or by name.

Decides under which name a file is a module, so that what it defines can be pickled by
reference: a worker process asks for the same name and loads the same file. It must import quickly.
"""

from __future__ import annotations

import importlib
import stat
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_MOST_BYTES = 16_000_000
LOADED_FILES: dict[str, str] = {}
"""The path of each file that was loaded, by the name of its module."""


class _FileFinder:
    """Tells Python's import system where the modules in ``LOADED_FILES`` are."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = LOADED_FILES.get(name)
        if file is None:
            return None
        return spec_from_file_location(name, file, loader=SourceFileLoader(name, file))


def register(files: dict[str, str]) -> None:
    """Make files importable by the names given to them, without importing any."""
    LOADED_FILES.update(files)
    if _FileFinder not in sys.meta_path:
        sys.meta_path.insert(0, _FileFinder)


def load_file(path: str | Path) -> ModuleType:
    """Load a Python file, once, as a module named after it.

    Its folder comes first in ``sys.path`` and stays there, so that it can import its
    siblings, then or when a function runs. Raises ``FunctionError`` with one line that
    names the file, the line and the reason.
    """
    given = str(path)
    try:
        file = str(Path(path).resolve())
        found = Path(file).stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to one another
        reason = getattr(error, "strerror", None) or str(error)
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise FunctionError(f"{given}: {'no such file' if missing else reason}") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise FunctionError(f"{given}: {what}, not a file")
    _check_size(found.st_size, given)
    for name, known in LOADED_FILES.items():
        if known == file and name in sys.modules:
            return sys.modules[name]
    name, folder = _free_name(file), str(Path(file).parent)
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    register({name: file})
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        del LOADED_FILES[name]
        sys.modules.pop(name, None)
        if added and folder in sys.path:
            sys.path.remove(folder)
        raise FunctionError(_reason(error, file, given)) from None


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name; the current directory is searched first.

    Raises ``FunctionError`` with one line that names the file, the line and the reason.
    """
    try:
        folder = str(Path.cwd())
    except OSError:  # it was deleted
        folder = "the current folder, which is no more,"
    else:
        if not {"", folder} & set(sys.path):
            sys.path.insert(0, folder)
    importlib.invalidate_caches()  # the file may be younger than the last look at its folder
    with suppress(OSError):
        _check_size(Path(_file_of(name)).stat().st_size, name)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            text = f"{name}: there is no module {error.name} in {folder} or where Python looks"
        else:
            text = _reason(error, _file_of(name), name)
        raise FunctionError(text) from None


def _check_size(size: int, given: str) -> None:
    """Python would read all of it before it finds that it isn't Python."""
    if size > _MOST_BYTES:
        raise FunctionError(f"{given}: it is larger than {_MOST_BYTES // 10**6} MB, as no file of Python is")


def _free_name(file: str) -> str:
    """The file's own name if no other module has it; with a number after it otherwise."""
    stem = "".join(character if character.isalnum() else "_" for character in Path(file).stem)
    names = chain([stem], (f"{stem}_{number}" for number in count(2)))
    return next(name for name in names if _is_free(name, file))


def _is_free(name: str, file: str) -> bool:
    if name in sys.modules or name in LOADED_FILES:
        return False
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is None or (spec.origin is not None and str(Path(spec.origin).resolve()) == file)


def _file_of(name: str) -> str:
    try:
        spec = find_spec(name)
    except Exception:  # a parent package that doesn't import, or a name that is none
        return ""
    return (spec.origin or "") if spec is not None else ""


def _reason(error: BaseException, file: str, given: str) -> str:
    """``file, line 3: ModuleNotFoundError: No module named 'x'``, on one line."""
    text, line = " ".join(str(error).split()), None
    if isinstance(error, SyntaxError):
        text = error.msg
        line = error.lineno
        if error.filename and error.filename != file:
            given = error.filename
    else:
        frames = error.__traceback__
        while frames is not None:
            if frames.tb_frame.f_code.co_filename == file:
                line = frames.tb_lineno
            frames = frames.tb_next
    where = f"{given}, line {line}" if line else given
    return f"{where}: {type(error).__name__}{': ' if text else ''}{text[:500]}"
