"""Every command that writes holds its folder: the second of two at once is told who has it, and writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.commands import SMALL, failure, run
from tests.helpers.made_once import MadeOnce
from tests.helpers.recordings.raw_recordings import make_raw
from utils.commands.run_lock import LOCK, RunLock

RAW = ("dataset.sensor_hw=[40,60]", "hardware.num_workers=0")


def arguments_of(program: str, dataset: Path, folder: Path) -> tuple[str, ...]:
    """A command that writes into ``folder/out``, or ``folder/out.json``."""
    out, own = folder / "out", f"dataset.path={dataset}"
    if program == "train.py":
        return (*SMALL, own, f"output.dir={out}", "training.max_steps=1")
    if program == "predict.py":
        return ("model=pseudo_labeler", *SMALL, own, f"save_dir={out}/train", "model.only_load_labels=true")
    if program == "scripts/preprocess_dataset.py":
        raw = make_raw(folder / "raw", splits=("train",), per_split=1)
        return ("dataset=synthetic", *RAW, f"raw_path={raw}", f"dataset.path={out}")
    if program == "scripts/make_synthetic.py":
        return (f"raw_path={out}", "world.duration_s=0.3", "num_workers=0")
    if program == "scripts/self_train.py":
        return (f"dataset_path={dataset}", f"root={out}", "experiment_name=synthetic/demo", "rounds=1")
    if program == "scripts/make_splits.py":
        return ("dataset=synthetic", own, "dataset.ratio=0.5", f"output={folder}/out.json")
    (folder / "raw" / "numpy" / "train").mkdir(parents=True)
    (folder / "raw" / "numpy" / "train" / "frame0.npy").touch()
    return (*RAW, f"raw_path={folder}/raw", f"dataset.path={out}")


@pytest.mark.parametrize(
    ("program", "key"),
    [
        ("train.py", "output.dir"),
        ("predict.py", "save_dir"),
        ("scripts/preprocess_dataset.py", "dataset.path"),
        ("scripts/make_synthetic.py", "raw_path"),
        ("scripts/self_train.py", "root"),
        ("scripts/make_splits.py", "output"),
        ("scripts/import_pedro.py", "dataset.path"),
    ],
)
def test_the_second_is_told_who_holds_the_folder(
    made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str, key: str
) -> None:
    arguments = arguments_of(program, made_once.dataset(train=1), tmp_path)
    held = (tmp_path, ".out.json.lock") if key == "output" else (tmp_path / "out", LOCK)
    with RunLock(held[0], key, held[1]):
        message = failure(capsys, program, *arguments)
        assert f"process {os.getpid()} on" in message
        assert "no other run is using" in message
        assert f"{key}={held[0]}" in message
        assert f"remove {held[0] / held[1]}" in message
        assert [path.name for path in held[0].iterdir() if path.name != "raw"] == [held[1]]


def test_no_lock_is_left(made_once: MadeOnce, tmp_path: Path) -> None:
    arguments = arguments_of("scripts/make_splits.py", made_once.dataset(train=1), tmp_path)
    assert run("scripts/make_splits.py", *arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
