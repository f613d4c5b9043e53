"""Another backbone than the labeller's first one: labels, is trained by its labels, streams, is exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modules.live.streaming_detector import StreamingDetector
from tests.helpers.commands import SMALL, run
from tests.helpers.made_once import MadeOnce

MODEL = ("model=rnndet-resnet50", "model.backbone.timm_name=resnet10t", "model.backbone.embed_dim=8")
"""The files' network is too large for a test; this one is of its kind."""

LOW = ("model.pseudo_label.obj_thresh=0.001", "model.pseudo_label.cls_thresh={car:0.001,pedestrian:0.001}")


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=2)


@pytest.fixture(scope="module")
def teacher(made_once: MadeOnce, dataset: Path) -> Path:
    def train(folder: Path) -> None:
        few = ("training.max_steps=12", "training.learning_rate=0.005", "validation.limit_val_batches=1")
        assert run("train.py", *SMALL, *MODEL, *few, f"dataset.path={dataset}", f"output.dir={folder}") == 0

    return made_once("resnet-teacher", train) / "last.ckpt"


def test_it_labels_and_is_trained_by_its_labels(dataset: Path, teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    label = ("dataset.ratio=0.25", f"dataset.path={dataset}", f"checkpoint={teacher}", f"save_dir={out / 'train'}")
    size = "model.backbone.embed_dim=8"  # the experiment of SMALL says another one
    least = ("model.postprocess.confidence_threshold=0.00001", "tta.enable=true", *LOW)
    assert run("predict.py", *SMALL, size, *label, *least) == 0
    assert json.loads((out / "summary.json").read_text())["pseudo"] > 0
    quality = tmp_path / "quality.json"
    assert run("val_dst.py", *SMALL, MODEL[0], f"dataset.path={out}", *LOW, f"save_json={quality}") == 0
    assert "one_to_one" in json.loads(quality.read_text())

    student = (*SMALL, *MODEL, "+model/head=soft", f"dataset.path={out}", f"weight={teacher}")
    steps = ("training.max_steps=2", "validation.limit_val_batches=1")
    assert run("train.py", *student, *steps, f"output.dir={tmp_path / 'student'}") == 0
    assert json.loads((tmp_path / "student" / "done.json").read_text())["steps"] == 2


def test_it_streams(teacher: Path) -> None:
    detector = StreamingDetector.from_checkpoint(teacher, confidence_threshold=0.0)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 3, (2, *detector.frame_shape)).astype(detector.frame_dtype)
    first, second = (detector.step(frame) for frame in frames)
    assert first.shape[1] == second.shape[1] == 7
    detector.reset()
    np.testing.assert_array_equal(detector.step(frames[0]), first)


def test_it_is_exported(teacher: Path, tmp_path: Path) -> None:
    file = tmp_path / "resnet.onnx"
    assert run("scripts/export_onnx.py", str(teacher), "--frames", "2", "-o", str(file)) == 0
    assert file.stat().st_size > 1_000_000
