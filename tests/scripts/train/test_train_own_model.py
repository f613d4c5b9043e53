"""A detector that the project has never heard of: one package and one YAML file, and every command works with it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from models.registry import DEFAULT_FAMILY, ENTRY_POINTS, FOLDERS, families, spec_of, spec_of_section
from modules.live.onnx import OnnxStream
from modules.live.streaming_detector import StreamingDetector
from tests.helpers.commands import REPOSITORY, SMALL, failure, run
from tests.helpers.made_once import MadeOnce
from tests.modules.test_streaming import sequence
from utils.errors import UserError

EXAMPLES = REPOSITORY / "docs" / "examples"


@pytest.fixture
def grid(made_once: MadeOnce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The example lies in a folder of its own, which the environment names; how a user chooses it."""
    folder, dataset = tmp_path / "own", made_once.dataset(train=2)
    shutil.copytree(EXAMPLES / "models", folder / "models")
    shutil.copytree(EXAMPLES / "model", folder / "model")
    monkeypatch.setenv(FOLDERS, str(folder / "models"))
    return ("--config-dir", str(folder), "model=grid", *SMALL, f"dataset.path={dataset}")


def test_every_command_takes_it(grid: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    more = ("validation.limit_val_batches=1", "training.lr_scheduler.total_steps=6", f"output.dir={tmp_path / 'run'}")
    watched = ("logging.health.every_n_steps=2", "logging.log_every_n_steps=1")
    for steps in (4, 6):  # the second one goes on, states and all
        assert run("train.py", *grid, *more, *watched, f"training.max_steps={steps}") == 0
    assert "grid: 0.01 M parameters: look 0.01" in caplog.text
    assert "going on from" in caplog.text
    logged = "".join(path.read_text() for path in (tmp_path / "run").rglob("*.csv"))
    assert "health/grad_look_max" in logged
    assert "train/box_loss" in logged
    checkpoint = tmp_path / "run" / "last.ckpt"

    low = ("model.postprocess.confidence_threshold=0.00001", f"checkpoint={checkpoint}")
    figures = tmp_path / "val.json"
    assert run("val.py", *grid, *low, "tta.enable=true", f"save_json={figures}") == 0
    assert "AP_50" in json.loads(figures.read_text())["figures"]
    labels = tmp_path / "labels" / "train"
    thresholds = (f"model.pseudo_label.{name}=0.00001" for name in ("obj_thresh", "cls_thresh"))
    assert run("predict.py", *grid, *low, *thresholds, "dataset.train_ratio=0.4", f"save_dir={labels}") == 0
    assert json.loads((labels.parent / "summary.json").read_text())

    detector = StreamingDetector.from_checkpoint(checkpoint, (100, 150), confidence_threshold=0.00001)
    assert detector.network.state_names == ["state_memory"]
    file = tmp_path / "grid.onnx"
    size = ("--sensor-hw", "100", "150", "--output", str(file), "--frames", "4")
    assert run("scripts/export_onnx.py", str(checkpoint), *size) == 0
    stream = OnnxStream(file, threads=1)
    for frame in sequence(detector.frame_shape, 3):
        predictions, memory = detector.network(torch.from_numpy(frame[None]), *detector.states)
        np.testing.assert_allclose(stream.step(frame[None]), predictions.detach(), atol=1e-4, rtol=1e-4)
        boxes = detector.step(frame)
        assert boxes.shape[1] == 7
        assert (boxes[:, 4] == 1).all()
        assert torch.equal(detector.states[0], memory)


def test_weights_of_another_family_are_named(
    grid: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"look.weight": torch.zeros(1)}, tmp_path / "weights.pth")
    message = failure(capsys, "train.py", *grid, f"weight={tmp_path / 'weights.pth'}", f"output.dir={tmp_path / 'run'}")
    assert "exactly the 2 tensors of the configured model" in message


@pytest.mark.parametrize("name", ["rvt", "yolox", "os", "../grid", "models.detection.rnndet", "", None, 3])
def test_unknown_families_are_told_the_known_ones(grid: tuple[str, ...], name: object) -> None:
    assert {"grid", "rnndet"} <= set(families())
    with pytest.raises(UserError, match=r"one of .*grid, .*rnndet.*\n.*\nwhere: +model.family") as caught:
        spec_of(name)
    assert caught.value.got == repr(name)
    assert FOLDERS in caught.value.fix


def test_an_installed_package_offers_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXAMPLES / "models" / "grid", tmp_path / "somebodys_grid")
    facts = tmp_path / "somebodys_grid-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-grid\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\ngrid = somebodys_grid\nrnndet = somebodys_grid\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"grid", "rnndet"} <= set(families())
    assert spec_of("grid").build.__module__ == "somebodys_grid"
    assert spec_of("rnndet").family == "rnndet", "the tree's own goes first"


def test_what_a_checkpoint_without_the_key_means() -> None:
    assert spec_of_section({}).family == DEFAULT_FAMILY
    assert [name for name in families() if spec_of(name).family != name] == []
