"""Files without a name: what is written is what is read, in pages of whatever size."""

from __future__ import annotations

import os
import pickle

import pytest

from llmorch.places import anonymous
from llmorch.places.anonymous import anonymous_file, mapped, most_files, write

MANY = 8 * 1024 * 1024


@pytest.mark.parametrize("granted", [True, False])
@pytest.mark.parametrize("size", [MANY - 1, MANY, MANY + 1, MANY + 3_000_001])
def test_what_is_written_is_what_is_mapped(size: int, granted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous, "_granted", granted and anonymous._granted)
    first, second = os.urandom(1000), os.urandom(size - 4096)
    file = anonymous_file()
    write(file, size, [(0, first), (4096, memoryview(second))])
    assert os.fstat(file.descriptor).st_size == size
    found = memoryview(mapped(file.descriptor, size))
    assert found[:1000] == first
    assert found[1000:4096] == bytes(3096)
    assert found[4096:] == second
    found[:] = bytes(size)  # private: the next who maps it finds it as it was
    assert memoryview(mapped(file.descriptor, size))[4096:] == second


def test_a_kernel_that_gives_no_large_pages_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous, "_COLLAPSE", 12_345)  # no advice that there is
    monkeypatch.setattr(anonymous, "_granted", True)
    file = anonymous_file()
    write(file, MANY, [(0, b"x" * MANY)])
    assert anonymous._granted is False
    assert os.pread(file.descriptor, 3, MANY - 3) == b"xxx"


def test_a_file_is_closed_with_its_last_holder_and_cant_be_copied() -> None:
    file = anonymous_file()
    descriptor = file.descriptor
    with pytest.raises(TypeError, match="means nothing in another process"):
        pickle.dumps(file)
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_fewer_files_are_kept_where_few_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmorch.places import anonymous

    monkeypatch.setattr(anonymous, "getrlimit", lambda _: (256, 4096))
    assert most_files() == 32
    monkeypatch.setattr(anonymous, "getrlimit", lambda _: (20_000, 20_000))
    assert most_files() == 128
