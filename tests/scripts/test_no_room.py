"""Every command, with a place that takes no file: one message, status 2, nothing half-written; and every such place."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from tests.helpers.commands import SMALL, failure
from tests.helpers.made_once import MadeOnce
from tests.helpers.recordings.raw_recordings import make_raw
from utils import atomic
from utils.atomic import write_text
from utils.commands.run_lock import RunLock
from utils.commands.system_errors import explain_os_error
from utils.errors import UserError

NOWHERE = "/proc/none"
"""A place that takes no file, whoever asks."""


def arguments_of(program: str, dataset: Path, folder: Path) -> tuple[str, ...]:
    """A command that is to write to ``NOWHERE``."""
    own, raw = f"dataset.path={dataset}", folder / "raw"
    if program == "train.py":
        return (*SMALL, own, f"output.dir={NOWHERE}/run", "training.max_steps=1")
    if program == "val.py":
        return (*SMALL, own, f"save_json={NOWHERE}/v.json")
    if program == "predict.py":
        return ("model=pseudo_labeler", *SMALL, own, f"save_dir={NOWHERE}/train", "model.only_load_labels=true")
    if program == "scripts/preprocess_dataset.py":
        make_raw(raw, splits=("train",), per_split=1)
        return ("dataset=synthetic", "hardware.num_workers=0", f"raw_path={raw}", f"dataset.path={NOWHERE}/out")
    if program == "scripts/make_synthetic.py":
        return (f"raw_path={NOWHERE}/raw", "world.duration_s=0.3", "num_workers=0")
    if program == "scripts/self_train.py":
        return (f"dataset_path={dataset}", f"root={NOWHERE}/run", "rounds=1")
    if program == "scripts/make_splits.py":
        return ("dataset=synthetic", own, "dataset.ratio=0.5", f"output={NOWHERE}/s.json")
    if program == "scripts/inspect_dataset.py":
        return (f"path={dataset}", f"save_json={NOWHERE}/a.json")
    if program == "scripts/visualize.py":
        sequence = next((dataset / "train").iterdir())
        return (str(sequence), "--output", f"{NOWHERE}/v.mp4")
    (raw / "numpy" / "train").mkdir(parents=True)
    np.save(raw / "numpy" / "train" / "frame0.npy", np.zeros((1, 4)))
    return ("hardware.num_workers=0", f"raw_path={raw}", f"dataset.path={NOWHERE}/out")


@pytest.mark.parametrize(
    "program",
    ["train.py", "predict.py", "val.py"]
    + [f"scripts/{name}.py" for name in (
        "preprocess_dataset", "make_synthetic", "self_train", "make_splits", "import_pedro", "inspect_dataset",
        "visualize",
    )],
)  # fmt: skip
def test_a_place_that_takes_no_file(
    made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    arguments = arguments_of(program, made_once.dataset(train=1), tmp_path)
    if program == "val.py":
        arguments += (f"checkpoint={made_once.teacher()}", "hardware.num_workers.eval=0")
    message = failure(capsys, program, *arguments)
    assert NOWHERE in message
    assert "No such file or directory" in message


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EROFS, "Read-only file system"),
        (errno.EACCES, "Permission denied"),
        (errno.ENOENT, "No such file or directory"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_every_such_place(
    made_once: MadeOnce,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    says: str,
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code), str(source), None, str(target))

    own = (f"dataset.path={made_once.dataset(train=1)}", "dataset.ratio=0.5", f"output={tmp_path / 's.json'}")
    monkeypatch.setattr(atomic.os, "replace", refused)
    message = failure(capsys, "scripts/make_splits.py", "dataset=synthetic", *own)
    assert says in message
    assert f"where:    {tmp_path / 's.json'}" in message
    assert not list(tmp_path.iterdir())


def test_a_full_disk_that_names_no_file(tmp_path: Path) -> None:
    for act in (lambda: write_text(tmp_path / "a.md", "tables"), lambda: RunLock(tmp_path).__enter__()):
        full_disk = mock.patch.multiple(os, fsync=full, pwrite=full)
        with full_disk, pytest.raises((OSError, UserError)) as caught:
            act()
        error = caught.value if isinstance(caught.value, UserError) else explain_os_error(caught.value)
        assert str(tmp_path) in error.where
        assert not list(tmp_path.iterdir())


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ["x" * 300, "folder", "file/s.json"])
def test_a_name_that_cannot_be(
    made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    own = (f"dataset.path={made_once.dataset(train=1)}", "dataset.ratio=0.5", f"output={tmp_path / name}")
    message = failure(capsys, "scripts/make_splits.py", "dataset=synthetic", *own)
    assert any(says in message for says in ("File name too long", "Is a directory", "File exists"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
