"""Functions in files and modules: loaded here, and found again by a worker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.declare.functions import declaration_of
from llmorch.errors import CallError, FunctionError
from llmorch.places.files import LOADED_FILES, load_file, load_module
from llmorch.places.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test loads is forgotten after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    files = dict(LOADED_FILES)
    yield
    LOADED_FILES.clear()
    LOADED_FILES.update(files)
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) is not None:
            del sys.modules[name]


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / name
    file.write_text(text)
    return file


def test_a_file_becomes_a_module_of_its_name_once(tmp_path: Path) -> None:
    file = written(tmp_path, "my_functions.py", "def answer(): return 42\n")
    module = load_file(file)
    assert (module.__name__, module.__file__, module.answer()) == ("my_functions", str(file), 42)
    assert load_file(str(file)) is module
    assert LOADED_FILES["my_functions"] == str(file)


@pytest.mark.parametrize("name", ["json.py", "numpy.py", "llmorch.py"])
def test_a_file_named_like_a_module_gets_another_name(tmp_path: Path, name: str) -> None:
    module = load_file(written(tmp_path, name, "def answer(): return 42\n"))
    assert module.__name__ == name.removesuffix(".py") + "_2"
    assert module.answer() == 42


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    one = load_file(written(tmp_path / "a", "twins.py", "NUMBER = 1\n"))
    two = load_file(written(tmp_path / "b", "twins.py", "NUMBER = 2\n"))
    assert (one.NUMBER, two.NUMBER, two.__name__) == (1, 2, "twins_2")


def test_a_file_imports_its_siblings_then_and_later(tmp_path: Path) -> None:
    written(tmp_path, "sibling_a.py", "A = 1\n")
    written(tmp_path, "sibling_b.py", "B = 2\n")
    text = "import sibling_a\ndef both():\n    import sibling_b\n    return sibling_a.A + sibling_b.B\n"
    module = load_file(written(tmp_path, "with_siblings.py", text))
    assert module.both() == 3
    assert sys.path[0] == str(tmp_path)


def test_a_name_that_is_no_identifier_will_do(tmp_path: Path) -> None:
    assert load_file(written(tmp_path, "my-functions v1.2", "X = 1\n")).X == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "x = 1\nimport not_there_at_all\n",
            "line 2: ModuleNotFoundError: No module named 'not_there_at_all'",
        ),
        ("x = 1\n\ndef f(:\n", "line 3: SyntaxError: invalid syntax"),
        ("def f():\n    1 / 0\n\nf()\n", "line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('no\\nway')\n", "line 2: SystemExit: no way"),
        ("raise ValueError\n", "line 1: ValueError"),
    ],
)
def test_a_file_that_does_not_import_is_one_line_with_the_place_and_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    file = written(tmp_path, "broken.py", text)
    path = list(sys.path)
    with pytest.raises(FunctionError) as caught:
        load_file(file)
    assert str(caught.value) == f"{file}, {reason}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert ("broken" in sys.modules, "broken" in LOADED_FILES, sys.path) == (False, False, path)
    file.write_text("FIXED = 1  # so that its size differs too\n")
    assert load_file(file).FIXED == 1


@pytest.mark.parametrize("data", [b"\x7fELF\x00\x00\x01", b"\xff\xfe\x00text", b"\x89PNG\r\n\x1a\n\x00"])
def test_a_file_that_is_not_python_is_one_line(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "picture.py"
    file.write_bytes(data)
    with pytest.raises(FunctionError) as caught:
        load_file(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.py", "no such file"), (tmp_path, "a folder, not a file")):
        with pytest.raises(FunctionError) as caught:
            load_file(path)
        assert str(caught.value) == f"{path}: {reason}"


def test_a_module_of_the_current_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "package", "__init__.py", "")
    written(tmp_path / "package", "inner.py", "X = 1\n")
    written(tmp_path / "package", "broken.py", "X = 1\nimport not_there_at_all\n")
    monkeypatch.chdir(tmp_path)
    assert load_module("package.inner").X == 1
    with pytest.raises(FunctionError) as caught:
        load_module("package.other")
    assert str(caught.value) == (
        f"package.other: there is no module package.other in {tmp_path} or where Python looks"
    )
    with pytest.raises(FunctionError) as caught:
        load_module("package.broken")
    assert str(caught.value) == (
        "package.broken, line 2: ModuleNotFoundError: No module named 'not_there_at_all'"
    )
    for name in ("", "..", "not a name", ".relative"):
        with pytest.raises(FunctionError):
            load_module(name)


@pytest.mark.anyio
async def test_a_worker_loads_the_same_file_and_its_classes_cross_both_ways(tmp_path: Path) -> None:
    text = """
import neighbour
class Box:
    def __init__(self, inside): self.inside = inside
def fill(box): return Box(box.inside + neighbour.ONE)
def folder(): return __file__
"""
    worker = Worker()
    try:
        for place in ("a", "b"):  # the second has a name that the worker can't guess
            written(tmp_path / place, "neighbour.py", "ONE = 1\n")
            module: Any = load_file(written(tmp_path / place, "boxes.py", text))
            box = await worker.execute(declaration_of(module.fill), {"box": module.Box(1)})
            assert (type(box) is module.Box, box.inside) == (True, 2)
            assert await worker.execute(declaration_of(module.folder), {}) == module.__file__
    finally:
        await worker.close()


@pytest.mark.anyio
async def test_a_file_that_only_the_worker_cant_load_is_that_calls_failure(tmp_path: Path) -> None:
    file = written(tmp_path, "vanishing.py", "def answer(): return 42\n")
    module = load_file(file)
    file.unlink()
    worker = Worker()
    try:
        with pytest.raises(
            CallError, match=r"^answer can't be loaded in a worker process: FileNotFoundError: "
        ):
            await worker.execute(declaration_of(module.answer), {})
    finally:
        await worker.close()
