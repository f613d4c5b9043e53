"""hotcoco, also in a process that was forked from one which used it.

Its threads start at the first evaluation and belong to the library that a process has loaded: a process forked
afterwards has the library but not the threads, and would wait for them for ever. Such a process loads the library once
more, from a copy, which starts threads of its own.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType

import hotcoco as _installed

_used_by: set[int] = set()
"""The first process that evaluated; those forked from it see its number here."""


def hotcoco() -> ModuleType:
    """The library, to evaluate with in this process."""
    _used_by.update(() if _used_by else (os.getpid(),))
    return _installed if os.getpid() in _used_by else _second_copy(os.getpid())


@functools.cache
def _second_copy(pid: int) -> ModuleType:
    """Library of its own for a forked process; the system takes a copy in memory for another library."""
    copy = os.memfd_create(f"hotcoco-{pid}")
    try:
        path = f"/proc/self/fd/{copy}"
        original = importlib.util.find_spec("hotcoco.hotcoco")
        assert original is not None
        assert original.origin is not None
        Path(path).write_bytes(Path(original.origin).read_bytes())
        spec = importlib.util.spec_from_loader("hotcoco", ExtensionFileLoader("hotcoco", path))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        os.close(copy)
