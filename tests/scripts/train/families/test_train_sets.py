"""DETR and RT-DETR through every command: trained, resumed bit by bit, evaluated, labelling, streamed, exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modules.live.onnx import OnnxStream
from modules.live.streaming_detector import StreamingDetector
from tests.helpers.commands import SMALL, run
from tests.helpers.made_once import MadeOnce
from tests.models.sets.test_detectors import DETR, RTDETR
from tests.modules.test_streaming import sequence

TRAIN = (
    *("validation.limit_val_batches=1", "training.lr_scheduler.total_steps=4", "checkpointing.keep_every_n_steps=2"),
    "training.max_steps=4",
)
LOW = ("dataset.sequence_length=2", "model.postprocess.confidence_threshold=0.00001")


def weights(run_folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(run_folder / "last.ckpt", weights_only=True)["state_dict"]


SETS = {"rtdetr": RTDETR, "detr": DETR, "detr with a memory": (*DETR, "model.recurrence=convlstm")}
MODELS = [
    pytest.param(model, marks=pytest.mark.soak if name != "rtdetr" else (), id=name) for name, model in SETS.items()
]


@pytest.mark.parametrize("model", MODELS)
def test_it_trains_goes_on_bit_by_bit_and_is_evaluated(
    model: tuple[str, ...], made_once: MadeOnce, tmp_path: Path
) -> None:
    given = (*SMALL, *model, *LOW, f"dataset.path={made_once.dataset(train=2)}")
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert run("train.py", *given, *TRAIN, f"output.dir={whole}") == 0
    # States, denoised queries and dropout of the second half are those of the whole.
    assert run("train.py", *given, *TRAIN, f"output.dir={resumed}", f"checkpoint={whole / 'step_00000002.ckpt'}") == 0
    ours, theirs = weights(whole), weights(resumed)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    figures = tmp_path / "val.json"
    assert run("val.py", *given, f"checkpoint={whole / 'last.ckpt'}", f"save_json={figures}") == 0
    assert "AP_50" in json.loads(figures.read_text())["figures"]


@pytest.mark.soak
@pytest.mark.parametrize("model", SETS.values(), ids=SETS)
def test_it_labels_is_drawn_streams_and_is_exported(
    model: tuple[str, ...], made_once: MadeOnce, tmp_path: Path
) -> None:
    dataset = made_once.dataset(train=2)
    given = (*SMALL, *model, *LOW, f"dataset.path={dataset}")
    assert run("train.py", *given, *TRAIN, f"output.dir={tmp_path / 'run'}") == 0
    checkpoint = tmp_path / "run" / "last.ckpt"
    labels = tmp_path / "labels" / "train"
    thresholds = (f"model.pseudo_label.{name}=0.00001" for name in ("obj_thresh", "cls_thresh"))
    given = (*given, f"checkpoint={checkpoint}")
    assert run("predict.py", *given, *thresholds, "dataset.train_ratio=0.4", f"save_dir={labels}") == 0
    assert json.loads((labels.parent / "summary.json").read_text())
    video = ("--checkpoint", str(checkpoint), "--output", str(tmp_path / "seen.mp4"))
    assert run("scripts/visualize.py", str(next((dataset / "val").iterdir())), *video) == 0

    detector = StreamingDetector.from_checkpoint(checkpoint, (100, 150), confidence_threshold=0.00001)
    file = tmp_path / "detector.onnx"
    size = ("--sensor-hw", "100", "150", "--output", str(file), "--frames", "2")
    assert run("scripts/export_onnx.py", str(checkpoint), *size) == 0
    stream = OnnxStream(file, threads=1)
    for frame in sequence(detector.frame_shape, 2):
        with torch.inference_mode():
            predictions, *_ = detector.network(torch.from_numpy(frame[None]), *detector.states)
        np.testing.assert_allclose(stream.step(frame[None]), predictions, atol=1e-3, rtol=1e-3)
        boxes = detector.step(frame)
        assert boxes.shape == (8, 7)
        assert (boxes[:, 4] == 1).all()
