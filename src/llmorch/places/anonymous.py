"""Files without a name: how large values lie outside of any process, and how they are read.

Decides where such a file is and when it is mapped. It has no name, so a crash of whoever
holds it leaves nothing behind: the memory is free once the last descriptor is closed and the
last mapping is gone. It must import quickly.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterable


MAPPED = 1024 * 1024
"""Files smaller than this, in bytes, are read: a copy costs less than mapping them."""
FILES = 128
"""The most files that are kept open for one purpose."""
_MANY = 8 * 1024 * 1024
"""Bytes from which it pays to ask for large pages."""

_maps: WeakSet[mmap.mmap] = WeakSet()


def most_files() -> int:
    """How many files may be kept open for one purpose: an eighth of what this process may open."""
    soft, _ = getrlimit(RLIMIT_NOFILE)
    return FILES if soft == RLIM_INFINITY else min(FILES, soft // 8)


class File:
    """A descriptor of an anonymous file, closed when nobody refers to it any more.

    A file's use may end at several points: a cancelled call forgets it while a
    thread still writes to it.
    """

    __slots__ = ("__weakref__", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a descriptor means nothing in another process")  # and a copy would close it twice


def anonymous_file() -> File:
    """A new empty file."""
    try:
        return File(os.memfd_create("llmorch"))
    except (AttributeError, OSError):  # not Linux, or a sandbox that forbids it
        from tempfile import TemporaryFile

        with TemporaryFile() as file:
            return File(os.dup(file.fileno()))


def write(file: File, size: int, pieces: Iterable[tuple[int, bytes | memoryview]]) -> None:
    """Give a file its size, and each of the pieces its offset in it."""
    os.ftruncate(file.descriptor, size)
    if size >= _MANY:
        lay_out(file.descriptor, size)
    for start, piece in pieces:
        view, done = memoryview(piece), 0
        while done < len(view):
            done += os.pwrite(file.descriptor, view[done:], start + done)


def mapped(descriptor: int, size: int) -> mmap.mmap | bytearray:
    """A file's bytes, private to this process: what is written to them reaches nobody else."""
    if size >= MAPPED:
        if sys.version_info >= (3, 13):
            return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY, trackfd=False)
        # Before Python 3.13 a mapped file keeps a descriptor open, so only so many stay mapped.
        if len(_maps) < most_files():
            with suppress(OSError):  # no descriptor is left for it
                memory = mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
                _maps.add(memory)
                return memory
    copy = bytearray(size)
    view, done = memoryview(copy), 0
    while done < size:
        read = os.preadv(descriptor, [view[done:]], done)
        if not read:
            raise EOFError("a message's file is too short")
        done += read
    return copy


_LARGE = 2 * 1024 * 1024
_COLLAPSE = 25  # MADV_COLLAPSE, since Linux 6.1
_FIXED = 0x10  # MAP_FIXED
_granted = sys.platform == "linux"


def lay_out(descriptor: int, size: int) -> None:
    """Have a file that is still empty lie in large pages, as far as it fills them.

    A page at a time is mapped for it, so that it doesn't count as memory of this process.
    """
    global _granted  # noqa: PLW0603 - a kernel that refuses once will refuse again
    if not _granted:
        return
    import ctypes

    libc = ctypes.CDLL(None)
    address_and_size, number = (ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (*address_and_size, number, number, number, ctypes.c_long)
    libc.munmap.argtypes = address_and_size
    libc.madvise.argtypes = (*address_and_size, number)
    failed = ctypes.c_void_p(-1).value
    reserved = libc.mmap(None, 2 * _LARGE, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if reserved == failed:
        return
    address = -(-reserved // _LARGE) * _LARGE
    try:
        for start in range(0, size - _LARGE + 1, _LARGE):
            os.pwrite(descriptor, b"\0", start)  # a page that isn't there can't be made larger
            access = mmap.PROT_READ | mmap.PROT_WRITE
            mapped = libc.mmap(address, _LARGE, access, mmap.MAP_SHARED | _FIXED, descriptor, start)
            if mapped == failed or libc.madvise(address, _LARGE, _COLLAPSE):
                _granted = start > 0  # later ones may be refused for want of free memory
                return
    finally:
        libc.munmap(reserved, 2 * _LARGE)
