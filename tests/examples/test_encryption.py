"""AES over files: what is encrypted comes back, and only with the key."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from llmorch.declare.offered import as_functions
from tests.examples.loading import EXAMPLES, load

pytest.importorskip("cryptography")

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load(EXAMPLES / "encryption" / "functions.py")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "made")
    monkeypatch.setattr(module, "VIDEO_MIB", 2)
    monkeypatch.setitem(module.SCRYPT, "n", 1 << 10)
    return module


def test_aes_is_a_compute_function_with_two_actions(example: ModuleType) -> None:
    functions = as_functions([example.chatbot, example.aes])
    assert functions["aes"].kind == "compute"
    assert functions["aes"].schema["properties"]["action"]["enum"] == ["encrypt", "decrypt"]
    assert functions["chatbot"].asks_model


@pytest.mark.parametrize("file", ["chat.txt", "myvideo.mp4"])
def test_a_file_comes_back_as_it_was(example: ModuleType, file: str) -> None:
    there = example.aes("encrypt", file, "a key\nof two lines")
    back = example.aes("decrypt", f"{file}.aes", "a key\nof two lines")
    folders = (example.FOLDER, example.STORED)
    original = next(folder / file for folder in folders if (folder / file).is_file()).read_bytes()
    assert (example.FOLDER / f"decrypted_{file}").read_bytes() == original
    assert original not in (example.FOLDER / f"{file}.aes").read_bytes()
    assert (there["output"], back["output"]) == (f"{file}.aes", f"decrypted_{file}")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_files_of_any_size_come_back(example: ModuleType, size: int) -> None:
    example.FOLDER.mkdir()
    (example.FOLDER / "some.bin").write_bytes(b"x" * size)
    example.aes("encrypt", "some.bin", "key")
    example.aes("decrypt", "some.bin.aes", "key")
    assert (example.FOLDER / "decrypted_some.bin").read_bytes() == b"x" * size


def test_the_statistics_tell_encrypted_from_plain(example: ModuleType) -> None:
    there = example.aes("encrypt", "chat.txt", "key")
    size = (EXAMPLES / "encryption" / "chat.txt").stat().st_size
    (example.FOLDER / "chat.txt.aes").read_bytes()[:64]
    assert there["entropy_before_bits_per_byte"] < 5
    assert there["entropy_after_bits_per_byte"] > 7.7
    assert (there["bytes_before"], there["bytes_after"]) == (size, size + 44)
    assert there["ratio"] == pytest.approx((size + 44) / size, abs=1e-4)
    assert math.isfinite(there["megabytes_per_second"])
    assert there["seconds"] > 0


def test_the_same_file_is_never_encrypted_to_the_same_bytes(example: ModuleType) -> None:
    example.aes("encrypt", "chat.txt", "key")
    once = (example.FOLDER / "chat.txt.aes").read_bytes()
    example.aes("encrypt", "chat.txt", "key")
    assert (example.FOLDER / "chat.txt.aes").read_bytes() != once


def test_another_key_opens_nothing_and_leaves_no_file(example: ModuleType) -> None:
    example.aes("encrypt", "chat.txt", "key")
    with pytest.raises(ValueError, match="not encrypted with this key, or changed since"):
        example.aes("decrypt", "chat.txt.aes", "another")
    assert [path.name for path in example.FOLDER.iterdir()] == ["chat.txt.aes"]


def test_a_changed_byte_is_noticed(example: ModuleType) -> None:
    example.aes("encrypt", "chat.txt", "key")
    path = example.FOLDER / "chat.txt.aes"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="changed since"):
        example.aes("decrypt", "chat.txt.aes", "key")


def test_space_around_a_key_does_not_count(example: ModuleType) -> None:
    example.aes("encrypt", "chat.txt", " key\n")
    example.aes("decrypt", "chat.txt.aes", "key")
    with pytest.raises(ValueError, match="the key is empty"):
        example.aes("encrypt", "chat.txt", " \n")


def test_the_video_is_made_once_and_always_the_same(example: ModuleType) -> None:
    example.aes("encrypt", "myvideo.mp4", "key")
    made = example.FOLDER / "myvideo.mp4"
    content, when = made.read_bytes(), made.stat().st_mtime_ns
    assert len(content) == 2 << 20
    assert content[4:12] == b"ftypisom"
    assert int.from_bytes(content[20:24], "big") == len(content) - 20
    example.aes("encrypt", "myvideo.mp4", "key")
    assert made.stat().st_mtime_ns == when
    made.write_bytes(b"half of it")
    example.aes("encrypt", "myvideo.mp4", "key")
    assert made.read_bytes() == content


@pytest.mark.parametrize("file", ["../functions.py", "/etc/passwd", "made/chat.txt", ".."])
def test_no_file_outside_the_example_is_touched(example: ModuleType, file: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        example.aes("encrypt", file, "key")
    assert [*example.FOLDER.iterdir()] == []


def test_a_file_that_is_not_there_is_answered_with_those_that_are(example: ModuleType) -> None:
    example.aes("encrypt", "chat.txt", "key")
    with pytest.raises(FileNotFoundError, match=r"there are myvideo\.mp4, chat\.txt, chat\.txt\.aes"):
        example.aes("decrypt", "talk.txt.aes", "key")
