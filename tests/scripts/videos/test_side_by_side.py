"""A video of pseudo labels beside the truth that they did not see, and of pictures behind events."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.synthetic.config import classes_of_recording
from scripts import visualize
from tests.data.events.test_aedat4_frames import write_with_frames
from tests.helpers.commands import failure
from tests.helpers.tiny_dataset import write_tiny_sequence
from tests.scripts.test_visualize import Detector, near, run
from utils.pictures.drawing import DARK


def test_truth_pseudo_labels_and_detections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full, pseudo = tmp_path / "full" / "train" / "drive", tmp_path / "pseudo" / "train" / "drive"
    for folder in (full, pseudo):
        write_tiny_sequence(folder, seed=1, frames=4)
    (tmp_path / "full" / "manifest.json").write_text(json.dumps({"settings": {"classes": ["van", "bike"]}}))
    file = pseudo / "labels_v2" / "labels.npz"
    with np.load(file) as arrays:
        labels = dict(arrays)
    labels["labels"]["t"], labels["labels"]["class_confidence"] = 0, 0.4
    np.savez(file, **labels)
    detector = Detector(half=True)
    detector.representation.bins = 10
    monkeypatch.setattr(visualize, "load_detector", lambda *_: detector)
    (tmp_path / "a.ckpt").touch()
    still = tmp_path / "still.png"
    common = (pseudo, "--truth", full, "--still", still, "--still-frames", "1", "--still-width", "4000", "--plain")
    run(*common, "--panels", "--tracks", "--checkpoint", tmp_path / "a.ckpt", "--only-class", "1")
    stored = cv2.imread(str(still))
    assert stored is not None
    picture = stored[..., ::-1].astype(int)
    height, width = picture.shape[:2]
    assert height < 600
    assert width > 3 * 640
    thirds = [picture[:, k * width // 3 : (k + 1) * width // 3] for k in range(3)]
    assert [bool(near(third, DARK.truth, 10).any()) for third in thirds] == [True, False, False]
    assert [bool(near(third, DARK.class_colour(1), 10).any()) for third in thirds] == [False, True, True]
    assert not any(near(third, DARK.class_colour(0), 10).any() for third in thirds)
    arguments = [str(argument) for argument in common]
    assert "classes among van, bike" in failure(capsys, "scripts/visualize.py", *arguments, "--only-class", "tram")
    alone = ("--still", str(still), "--panels", "--labels", "none")
    assert "add --truth, --labels" in failure(capsys, "scripts/visualize.py", str(full), *alone)


def test_pictures_behind_events(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "street.aedat4"
    write_with_frames(path, {0: np.full((48, 64), 200, np.uint8)})
    run(path, "-o", tmp_path / "street.gif", "--frames", "--scale", "1", "--labels", "none", "--dt-ms", "5000")
    assert "--still street.png" in caplog.text
    _, frame = cv2.VideoCapture(str(tmp_path / "street.gif")).read()
    assert (np.abs(frame.astype(int) - np.array([134, 130, 128])).sum(axis=-1) < 80).mean() > 0.9


def test_a_synthetic_recording_has_names(tmp_path: Path) -> None:
    recording = tmp_path / "test" / "test_0000_td.dat"
    assert classes_of_recording(recording) == ()
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "synthetic world"}))
    assert classes_of_recording(recording) == ("car", "pedestrian")
    (tmp_path / "manifest.json").write_text(json.dumps({"settings": {}}))
    assert classes_of_recording(recording) == ()
