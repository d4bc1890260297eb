"""Slot files: which belongs to which prompt, which are kept, and what is done about a damaged one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llmorch.models.model import Message
from llmorch.models.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"state" * 1000


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    slots = Slots(tmp_path / "slots", "weights", 8192)
    slots.prepare()
    return slots


def _save(slots: Slots, key: str, content: bytes = CONTENT) -> Path:
    """Save and keep a file, and return where it is."""
    name = slots.temporary(key)
    (slots.folder / name).write_bytes(content)
    slots.keep(key, name)
    (path,) = slots.folder.glob(f"{key}.*")
    return path


def test_a_slot_file_belongs_to_one_prompt_of_one_model_with_one_context(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    slots = Slots(tmp_path, "weights 1", 8192)
    prompt = (Message("system", "rules"),)
    keys = {
        slots.key(prompt),
        slots.key((Message("user", "rules"),)),
        replace(slots, weights="weights 2").key(prompt),
        replace(slots, context=4096).key(prompt),
    }
    assert len(keys) == 4
    assert slots.key(prompt) == slots.key(prompt)
    assert slots.key(()) is None


def test_what_was_kept_is_found_whole(slots: Slots) -> None:
    assert not slots.has("k")
    assert slots.whole("k") is None
    path = _save(slots, "k")
    assert slots.has("k")
    assert slots.whole("k") == path.name
    assert path.read_bytes() == CONTENT
    assert [path.name for path in slots.folder.iterdir()] == [path.name]


def test_the_slot_files_used_longest_ago_are_removed(slots: Slots) -> None:
    assert slots.folder.stat().st_mode & 0o077 == 0
    for number in range(14):
        path = _save(slots, f"k{number}")
        os.utime(path, (number, number))
        if number == 3:
            assert slots.has("k0")  # used now, so the newest of all
    assert {path.name.split(".")[0] for path in slots.folder.iterdir()} == {
        f"k{number}" for number in [0, *range(3, 14)]
    }


def test_a_half_written_file_of_a_writer_that_is_gone_is_removed(slots: Slots) -> None:
    old, new = (slots.folder / slots.temporary("k") for _ in range(2))
    for path in (old, new):
        path.write_bytes(CONTENT)
    os.utime(old, (time.time() - 7200,) * 2)
    _save(slots, "other")
    assert (old.exists(), new.exists()) == (False, True)
    assert not slots.has("k")


def _cut(path: Path) -> None:
    path.write_bytes(CONTENT[:-1])


def _flip(path: Path) -> None:
    path.write_bytes(CONTENT[:2000] + b"T" + CONTENT[2001:])


def _of_another_prompt(path: Path) -> None:
    path.write_bytes(b"other" * 1000)


def _grow(path: Path) -> None:
    os.truncate(path, 2**40)


def _folder(path: Path) -> None:
    path.unlink()
    (path / "in it").mkdir(parents=True)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


DAMAGES = [_cut, _flip, _of_another_prompt, _grow, _folder, _pipe, _device, _circle]


@pytest.mark.parametrize("damage", [*DAMAGES, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_found_removed_and_made_again(slots: Slots, damage: Callable[[Path], None]) -> None:
    path = _save(slots, "k")
    beside = _save(slots, "beside")
    damage(path)
    started = time.monotonic()
    assert slots.whole("k") is None
    assert time.monotonic() - started < 1
    assert not os.path.lexists(path)
    assert slots.whole("beside") == beside.name
    assert _save(slots, "k") == path
    assert slots.whole("k") == path.name


@pytest.mark.parametrize("damage", [_cut, _grow, _folder, _pipe, _device, _circle])
def test_a_file_of_another_size_or_kind_does_not_keep_the_right_one_from_being_saved(
    slots: Slots, damage: Callable[[Path], None]
) -> None:
    path = _save(slots, "k")
    damage(path)
    assert not slots.has("k")
    assert _save(slots, "k") == path
    assert slots.whole("k") == path.name


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_made_again(slots: Slots) -> None:
    path = _save(slots, "k")
    path.chmod(0)
    assert slots.whole("k") is None
    assert _save(slots, "k") == path


def test_a_file_under_the_name_of_another_prompt_is_none_of_it(slots: Slots) -> None:
    path = _save(slots, "a")
    path.rename(path.with_name(path.name.replace("a.", "b.", 1)))
    assert slots.whole("b") is None


def test_a_folder_that_cannot_be_made_or_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    slots = Slots(tmp_path / "file" / "slots", "weights", 8192)
    slots.prepare()
    slots.keep("k", slots.temporary("k"))
    slots.drop("k")
    assert not slots.has("k")
    assert slots.whole("k") is None


def test_of_two_processes_that_save_and_read_at_once_none_sees_a_half_written_file(slots: Slots) -> None:
    script = f"""
import os, sys
from pathlib import Path
from llmorch.models.slots import Slots
slots = Slots(Path({str(slots.folder)!r}), "weights", 8192)
whole = (b"a" * 300_000, b"b" * 300_000)
for _ in range(150):
    name = slots.temporary("k")
    (slots.folder / name).write_bytes(whole[int(sys.argv[1])])
    slots.keep("k", name)
    found = slots.whole("k")
    if found is not None:
        try:
            content = (slots.folder / found).read_bytes()
        except FileNotFoundError:  # the other has replaced it
            continue
        assert content in whole, len(content)
"""
    running = [subprocess.Popen([sys.executable, "-c", script, str(number)]) for number in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert slots.whole("k") is not None
    assert len(list(slots.folder.iterdir())) == 1
