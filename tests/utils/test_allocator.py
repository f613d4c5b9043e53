from __future__ import annotations

import platform
import resource

import numpy as np
import pytest

from utils.allocator import keep_freed_memory


def fresh_pages() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(3 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="its settings are those of glibc")
def test_what_was_freed_serves_again() -> None:
    assert keep_freed_memory()
    fresh_pages()
    assert fresh_pages() < 100  # of 6,144 for 24 MiB


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
