"""What the last release wrote can still be read, and its stopped runs go on to the same bytes."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from modules.live.streaming_detector import StreamingDetector
from modules.optim import OneCycle
from tests.helpers.commands import run
from tests.helpers.float32_rounding import FINGERPRINT, fingerprint
from tests.helpers.release_files import DATASET, LABELLING, QUALITY, TRAINING, VALIDATION, expected, unpack
from tests.helpers.stopped_training import everything

ONCE_COMPUTED = ("val/product_", "val/strict_")
"""Figures that the release computed at each validation; now val.py alone does."""


NO_REPORT = "logging.report=false"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files, in the folder where the commands run."""
    unpack(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deciding(log: str) -> str:
    """A log without the figures that trainings computed until this release and val.py still does."""
    rows = [line.split(",") for line in log.splitlines()]
    keep = [at for at, name in enumerate(rows[0]) if not name.startswith(ONCE_COMPUTED)]
    return "\n".join(",".join(row[at] for at in keep) for row in rows)


def test_a_stopped_run_goes_on(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The release let the rate fall below zero when the cycle was over; no step is made with it here, but it is saved.
    monkeypatch.delattr(OneCycle, "get_lr")
    before = torch.load("stopped/last.ckpt", weights_only=True)
    assert before["global_step"] == 4
    assert run("train.py", *TRAINING, NO_REPORT, "hardware.num_processes=1", "output.dir=stopped") == 0
    found, wanted = everything(release / "stopped"), expected(release)
    found["log"], wanted["log"] = deciding(found["log"]), deciding(wanted["log"])
    same = found.keys() if fingerprint() == FINGERPRINT else ("schedule", "figures", "done")
    assert {key: found[key] for key in same} == {key: wanted[key] for key in same}


def test_a_finished_run_is_done(release: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = sorted(release.joinpath("finished").rglob("*"))
    caplog.set_level(logging.INFO)
    assert run("train.py", *TRAINING, NO_REPORT, "output.dir=finished") == 0
    assert "says that this run is done" in caplog.text
    assert sorted(release.joinpath("finished").rglob("*")) == left


def test_a_checkpoint_with_all_steps_is_done(release: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert run("train.py", *TRAINING, NO_REPORT, "output.dir=stopped", "training.max_steps=4") == 0
    assert "already holds all 4 steps" in caplog.text
    assert json.loads(Path("stopped/done.json").read_text())["steps"] == 4


def test_a_checkpoint_is_evaluated(release: Path) -> None:
    wanted = json.loads(Path("val.json").read_text())
    assert run("val.py", *VALIDATION, NO_REPORT, "save_json=now.json") == 0
    now = json.loads(Path("now.json").read_text())
    assert now["figures"] == pytest.approx(wanted["figures"], abs=1e-6)
    assert now["split"] == wanted["split"]


def test_a_checkpoint_labels(release: Path) -> None:
    assert run("predict.py", *LABELLING, NO_REPORT, "save_dir=again/train") == 0
    for name in ("train_0000", "train_0001"):
        wanted = np.load(f"pseudo/train/{name}/labels_v2/labels.npz", allow_pickle=False)
        now = np.load(f"again/train/{name}/labels_v2/labels.npz", allow_pickle=False)
        assert wanted.files == now.files
        for key in wanted.files:
            assert wanted[key].dtype == now[key].dtype
            for column in wanted[key].dtype.names or (...,):
                np.testing.assert_allclose(wanted[key][column], now[key][column], rtol=1e-5, atol=1e-4)


def test_labelling_that_was_complete_stays_so(release: Path) -> None:
    labels = {path: path.read_bytes() for path in release.glob("pseudo/train/*/labels_v2/*")}
    assert labels
    assert run("predict.py", *LABELLING, NO_REPORT, "save_dir=pseudo/train") == 0
    assert {path: path.read_bytes() for path in release.glob("pseudo/train/*/labels_v2/*")} == labels


def test_pseudo_labels_are_measured(release: Path) -> None:
    wanted = json.loads(Path("val_dst.json").read_text())
    assert wanted["steps"], "the kept views are read"
    assert run("val_dst.py", *QUALITY, NO_REPORT, "save_json=now.json") == 0
    assert json.loads(Path("now.json").read_text()) == wanted


def test_pseudo_labels_train(release: Path) -> None:
    weights = ("dataset.path=pseudo", "weight=stopped/best.ckpt", "output.dir=student")
    assert (
        run("train.py", *TRAINING, NO_REPORT, *weights, "training.max_steps=1", "training.lr_scheduler.use=false") == 0
    )


def test_a_dataset_is_accepted(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scripts/preprocess_dataset.py", "--verify", *DATASET, "hardware.num_workers=0") == 0
    assert run("scripts/inspect_dataset.py", *DATASET, "dataset.sequence_length=4", "frames_read=null") == 0
    shutil.rmtree(next(release.glob("data/train/*")))
    assert run("scripts/preprocess_dataset.py", "--verify", *DATASET, "hardware.num_workers=0") == 2


def test_a_checkpoint_streams(release: Path) -> None:
    detector = StreamingDetector.from_checkpoint("stopped/last.ckpt")
    assert detector.sensor_hw == (64, 80)
    assert detector.classes == ["car", "pedestrian"]
    for _ in range(2):
        assert detector.step(np.zeros((4, 32, 40), np.uint8)) is not None
