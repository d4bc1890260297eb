"""Large pages for files in memory: to get many small ones takes longer than to fill them.

Decides how the kernel is asked. It is a wish: where it isn't granted nothing is different but
the time. This module must import quickly.
"""

from __future__ import annotations

import mmap
import os
import sys

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
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    )
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    failed = ctypes.c_void_p(-1).value
    reserved = libc.mmap(None, 2 * _LARGE, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if reserved == failed:
        return
    place = -(-reserved // _LARGE) * _LARGE
    try:
        for start in range(0, size - _LARGE + 1, _LARGE):
            os.pwrite(descriptor, b"\0", start)  # a page that isn't there can't be made larger
            access = mmap.PROT_READ | mmap.PROT_WRITE
            mapped = libc.mmap(place, _LARGE, access, mmap.MAP_SHARED | _FIXED, descriptor, start)
            if mapped == failed or libc.madvise(place, _LARGE, _COLLAPSE):
                _granted = start > 0  # later ones may be refused for want of free memory
                return
    finally:
        libc.munmap(reserved, 2 * _LARGE)
