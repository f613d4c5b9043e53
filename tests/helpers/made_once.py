"""What many tests read and none changes, made once for all of them, by the worker that needs it first."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers.commands import SMALL, run
from tests.helpers.tiny_dataset import write_tiny_dataset

TEACHER = ("training.max_steps=30", "training.learning_rate=0.005", "dataset.train_ratio=0.34")
"""A training that finds some boxes of the tiny dataset, by one of its three sequences."""


class MadeOnce:
    """Folders that the workers of a run of the tests share. To change one, copy it.

    Args:
        folder: the same for all workers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder ``name``, filled by ``make`` if it is not there; other workers wait for it."""
        folder, whole = self.folder / name, self.folder / f"{name}.sha256"
        self.folder.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that could not make it
                folder.mkdir()
                make(folder)
                whole.write_text(digest(folder))
        return folder

    def check(self) -> None:
        """Assert that nobody wrote into a shared folder."""
        for whole in self.folder.glob("*.sha256"):
            assert whole.read_text() == digest(whole.with_suffix("")), f"a test changed the shared {whole.stem}"

    def dataset(self, train: int = 3, val: int = 1, test: int = 1) -> Path:
        """A tiny dataset, see :func:`write_tiny_dataset`."""
        name = f"dataset-{train}-{val}-{test}"
        return self(name, lambda folder: write_tiny_dataset(folder, train, val, test))

    def teacher(self) -> Path:
        """Checkpoint of a training on a third of the tiny dataset."""

        def train(folder: Path) -> None:
            assert run("train.py", *SMALL, *TEACHER, f"dataset.path={self.dataset()}", f"output.dir={folder}") == 0

        return self("teacher", train) / "last.ckpt"


def digest(folder: Path) -> str:
    """Hash of names, links and bytes of all files below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(f"{path.relative_to(folder)} {path.readlink() if path.is_symlink() else ''}\n".encode())
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of this run share."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
