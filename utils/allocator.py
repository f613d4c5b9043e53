"""What the C library does with memory that is given back: on Linux it is told to keep it for the next request."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h

MIB = 1 << 20
LARGEST_KEPT = (1024 * MIB, 32 * MIB)
"""Blocks up to so many bytes come from kept memory, larger ones from the kernel; older glibc refuse the first."""


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed in this process and in those forked from it.

    Tensors of some megabytes would otherwise be given back to the kernel whenever they are freed, and their successors
    come as fresh pages, each of which is cleared and mapped when it is first written to.

    Returns:
        Whether the C library took it; others than glibc have no such settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_TRIM_THRESHOLD, 2 * LARGEST_KEPT[0] - 1), (_TOP_PAD, 64 * MIB))
    others = [mallopt(which, size) for which, size in settings]
    return any(mallopt(_MMAP_THRESHOLD, size) for size in LARGEST_KEPT) and all(others)
