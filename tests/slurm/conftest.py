"""One SLURM for all tests that need a real one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.slurm.slurm_cluster import MiniCluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[MiniCluster]:
    """A one-node SLURM in a folder with a short name (munge's socket is in it); stopped and removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="slurm"))
    try:
        with MiniCluster(root / "c", cpus=4) as cluster:
            yield cluster
    finally:
        shutil.rmtree(root, ignore_errors=True)
