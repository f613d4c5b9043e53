"""Pictures of detections while training, and everything that watches over it switched on in the real command."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.payloads.frames import FrameInputs
from modules.callbacks.pictures import PictureSettings, last_labelled, picture
from tests.helpers.commands import failure, run
from tests.helpers.stopped_training import TINY
from tests.helpers.tiny_dataset import write_tiny_dataset
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.pictures.drawing import DARK

WATCHED = (
    "logging.pictures.train_every_n_steps=2", "logging.pictures.validation=1", "logging.health.every_n_steps=2",
    "validation.val_check_interval=2", "training.max_steps=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    dataset = write_tiny_dataset(tmp_path_factory.mktemp("data"), train=1, val=1, test=0)
    return (*TINY, f"dataset.path={dataset}", "validation.limit_val_batches=1", "training.max_steps=4")


@pytest.fixture(scope="module")
def watched(start: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    assert run("train.py", *start, *WATCHED, "logging.logger=tensorboard", f"output.dir={folder}") == 0
    return folder


def test_pictures_of_training_and_validation(watched: Path) -> None:
    names = sorted(path.name for path in (watched / "pictures").iterdir())
    assert names == [
        "train_00000002.png", "train_00000004.png", "val_00000002_00.png", "val_00000004_00.png",
    ]  # fmt: skip
    image = cv2.imread(str(watched / "pictures" / names[0]))
    assert image is not None
    assert image.shape == (512, 640, 3)
    assert (image == DARK.truth[::-1]).all(axis=-1).any(), "the labels are on it"


def test_they_and_all_figures_are_in_tensorboard(watched: Path) -> None:
    events = EventAccumulator(str(watched / "logs" / "version_0"))
    events.Reload()
    tags = events.Tags()
    assert tags["images"] == ["detections/train", "detections/val"]
    scalars = set(tags["scalars"])
    assert {"train/loss", "lr-AdamW", "perf/frames_per_s", "perf/data_wait", "val/AP"} <= scalars
    assert {"health/grad_stage1_mean", "health/grad_head_max", "health/h_stage4_mean", "health/c_stage4_max"} <= scalars


def test_watching_changes_no_weight(start: tuple[str, ...], watched: Path, tmp_path: Path) -> None:
    quiet = (*WATCHED[3:], "logging.health.every_n_steps=0")
    assert run("train.py", *start, *quiet, f"output.dir={tmp_path}") == 0
    weights = [torch.load(folder / "last.ckpt", weights_only=True)["state_dict"] for folder in (watched, tmp_path)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert not (tmp_path / "pictures").exists()
    with (tmp_path / "logs" / "version_0" / "perf.csv").open() as handle:
        assert [row["step"] for row in csv.DictReader(handle)] == ["2", "3", "4"]
    assert "perf" not in (tmp_path / "logs" / "version_0" / "metrics.csv").read_text(), "it is the same in every run"


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 20), (np.int8, 10), (np.float16, 5)])
def test_any_representation(dtype: Any, channels: int) -> None:
    frame = np.zeros((channels, 40, 60), dtype=dtype)
    frame[-1, 10:20, 10:20] = 2
    labels = np.zeros(2, dtype=BBOX_DTYPE)
    labels["x"], labels["y"], labels["w"], labels["h"], labels["class_id"] = [10, 40], 10, 10, 10, [0, 1024]
    image = picture(frame, labels, np.array([[12, 12, 18, 18, 0.9, 0.9, 0]], dtype=np.float32), ["car"])
    assert image.shape == (440, 660, 3)
    for colour in (DARK.truth, DARK.ignored, DARK.class_colour(0)):
        assert (image == colour).all(axis=-1).any()


@pytest.mark.parametrize(
    "setting",
    ["pictures.validation=-1", "pictures.train_every_n_steps=x", "health=1000", "pictures=true"],
)
def test_settings_out_of_range(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    key = f"logging.{setting}"
    assert key.split("=")[0] in failure(capsys, "train.py", *start, key, f"output.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_each_picture_is_of_another_sequence() -> None:
    frames = torch.tensor([0, 1, 3, 5])  # lanes 0 and 1 of frame 0, lane 1 of frames 1 and 2
    inputs = FrameInputs(torch.zeros(3, 2, 1, 1, 1))
    batch = {"inputs": inputs, "labels": SimpleNamespace(frame_id=frames, batch_size=2), "path": ["a", "b"]}
    assert last_labelled(batch) == (2, 1)
    assert last_labelled(batch, {"b"}) == (0, 0)
    assert last_labelled(batch, {"a", "b"}) is None
    assert last_labelled({**batch, "inputs": "events"}) is None


def test_numbers_only() -> None:
    with pytest.raises(UserError, match=r"logging\.pictures\.validation"):
        PictureSettings(0, True)
