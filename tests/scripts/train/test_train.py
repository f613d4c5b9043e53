"""Compose, train, resume, evaluate through the real configs; the same command gives the same weights."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import SMALL, run
from tests.helpers.made_once import MadeOnce


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset()


def weights_hash(checkpoint: Path) -> str:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_same_command_same_weights_with_mixed_sampling_and_two_workers(dataset: Path, tmp_path: Path) -> None:
    hashes = []
    for workers in (2, 0):
        out = tmp_path / str(workers)
        status = run(
            "train.py", *SMALL, f"dataset.path={dataset}", f"output.dir={out}", "dataset.train.sampling=mixed",
            "training.max_steps=4", f"hardware.num_workers.train={workers}", "dataset.augmentation.random.tflip=0.5",
            "validation.limit_val_batches=1",
        )  # fmt: skip
        assert status == 0
        hashes.append(weights_hash(out / "last.ckpt"))
    assert hashes[0] == hashes[1], "loader processes change speed, never batches"


# Which batches there are is told by tests/data/sampling and tests/data/batches.
@pytest.mark.parametrize("sampling", [pytest.param("random", marks=pytest.mark.soak), "stream"])
def test_training_goes_on(dataset: Path, tmp_path: Path, sampling: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    out = tmp_path / "run"
    train = (
        *SMALL, f"dataset.path={dataset}", f"output.dir={out}", f"dataset.train.sampling={sampling}",
        "training.lr_scheduler.total_steps=5",
    )  # fmt: skip
    assert run("train.py", *train, "training.max_steps=3", "validation.val_check_interval=2") == 0
    done = json.loads((out / "done.json").read_text())
    assert done["steps"] == 3
    assert "device: CPU; GPUs in this machine: " in caplog.text
    assert not any(word in caplog.text for word in ("Tip", "TPU", "weights_only", "limit_val_batches"))
    assert {"val/AP", "val/AP_50"} <= done.keys()
    assert (out / "best.ckpt").exists()
    figures = (out / "logs" / "version_0" / "metrics.csv").read_text()
    assert "val/AP_50" in figures
    assert "val/strict_AP" not in figures  # only what decides is computed within a training
    before = weights_hash(out / "last.ckpt")
    assert run("train.py", *train, "training.max_steps=3", "validation.val_check_interval=2") == 0
    assert weights_hash(out / "last.ckpt") == before
    # More steps go on from the newest checkpoint.
    assert run("train.py", *train, "training.max_steps=5", "validation.limit_val_batches=1") == 0
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 5


def test_evaluation(made_once: MadeOnce, dataset: Path, tmp_path: Path) -> None:
    figures = {}
    for name, more in {
        "plain": (),
        "chunks": ("dataset.sequence_length=7", "batch_size.eval=1"),
        "tta": ("tta.enable=True",),  # reversed in time alone: tests/scripts/rounds/test_golden_end_to_end.py
    }.items():
        target = tmp_path / f"{name}.json"
        status = run(
            "val.py", *SMALL, f"dataset.path={dataset}", f"checkpoint={made_once.teacher()}", "use_test_set=1",
            f"save_json={target}", *more,
        )  # fmt: skip
        assert status == 0
        figures[name] = json.loads(target.read_text())["figures"]
        assert {"AP", "AP_50", "AP_75", "AP_S", "AP_M", "AP_L", "AP_car", "AP_50_pedestrian"} <= figures[name].keys()
    assert figures["chunks"] == pytest.approx(figures["plain"], abs=1e-6), "state is carried over chunks"
