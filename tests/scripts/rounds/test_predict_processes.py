"""Labelling by several processes, stopped and started again: always the same bytes."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.commands import REPOSITORY, SMALL, run
from tests.helpers.forked_steps import ForkedProcess
from tests.helpers.made_once import MadeOnce
from tests.helpers.tiny_dataset import write_tiny_sequence
from tests.helpers.warm_python import WarmPython

LENGTHS = (20, 12, 17, 8, 12, 9, 5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for number, frames in enumerate(LENGTHS):
        write_tiny_sequence(root / "train" / f"{number}", number, frames)
    for split in ("val", "test"):
        write_tiny_sequence(root / split / "a", 9, 8)
    return root


@pytest.fixture(scope="module")
def teacher(made_once: MadeOnce) -> Path:
    return made_once.teacher()


def arguments(dataset: Path, teacher: Path, out: Path) -> tuple[str, ...]:
    return (
        "model=pseudo_labeler", *SMALL, f"dataset.path={dataset}", f"checkpoint={teacher}",
        f"save_dir={out / 'train'}", "tta.enable=true", "model.pseudo_label.obj_thresh=0.01",
        "model.pseudo_label.cls_thresh=0.01", "dataset.ratio=0.25",
    )  # fmt: skip


def tree(folder: Path) -> dict[str, bytes | str]:
    """Every file's bytes and every link's target, by path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file())
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in paths
    }


@pytest.fixture(scope="module")
def whole(dataset: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | str]:
    """What one undisturbed process writes."""
    out = tmp_path_factory.mktemp("whole")
    assert run("predict.py", *arguments(dataset, teacher, out)) == 0
    return tree(out)


def test_two_processes_write_what_one_does(
    dataset: Path, teacher: Path, whole: dict[str, bytes | str], tmp_path: Path, warm_python: WarmPython
) -> None:
    command = [warm_python.executable, "predict.py", *arguments(dataset, teacher, tmp_path / "out")]
    done = subprocess.run([*command, "hardware.num_processes=2"], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert tree(tmp_path / "out") == whole


def test_killed_again_and_again(dataset: Path, teacher: Path, whole: dict[str, bytes | str], tmp_path: Path) -> None:
    out, rng = tmp_path / "out", random.Random(0)
    with open(tmp_path / "said.txt", "wb") as said:
        for wanted in (1, 9):  # files of boxes and finished sequences that lie there when the kill comes
            process = ForkedProcess([sys.executable, "predict.py", *arguments(dataset, teacher, out)], stdout=said)
            while process.poll() is None and progress(out) < wanted:
                time.sleep(0.01)
            time.sleep(rng.random() / 10)
            process.kill()
            process.wait()
    assert run("predict.py", *arguments(dataset, teacher, out)) == 0
    assert tree(out) == whole


def progress(out: Path) -> int:
    """How far labelling has come: a sequence counts once for each direction of time."""
    finished = sum(not path.name.startswith(".") for path in (out / "train").glob("*"))
    return 2 * finished + sum(1 for _ in (out / "train").glob(".views/[!.]*"))
