"""The six commands of docs/YOUR_CAMERA.md, as they stand there, on made-up recordings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.commands import REPOSITORY, run
from tests.helpers.recordings.box_layouts import HW, write_csv, write_recording
from utils.pictures.video import probe_video

PAGE = (REPOSITORY / "docs" / "YOUR_CAMERA.md").read_text(encoding="utf-8")

TINY = (
    "model.backbone.embed_dim=8",
    "model.backbone.attention.dim_head=8",
    "model.fpn.depth=0.33",
    "hardware.accelerator=cpu",
    "hardware.num_workers.train=0",
    "hardware.num_workers.eval=0",
    "batch_size.train=2",
    "batch_size.eval=2",
    "logging.progress_bar=false",
    "logging.report=false",
    "training.max_steps=1",
    "training.precision=32",
    "dataset.sequence_length=3",
)
SMALLER = {
    "train.py": TINY,
    "val.py": TINY,
    "scripts/preprocess_dataset.py": ("hardware.num_workers=0",),
    "scripts/visualize.py": ("--duration-s", "0.2"),
}
"""What makes the commands small enough for a test."""


def commands() -> list[list[str]]:
    (block,) = re.findall(r"^## Six commands\n+```bash\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [shlex.split(line)[1:] for line in block.splitlines() if not line.startswith("#")]


def test_six_commands_lead_to_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, (split, name) in enumerate((("train", "monday"), ("val", "tuesday"), ("test", "friday"))):
        boxes = write_recording(tmp_path / "RAW" / split, name, seed, frames=24)
        write_csv(tmp_path / "RAW" / split / f"{name}_bbox.csv", boxes, ("person", "Cyclist", "dog"))
    monkeypatch.chdir(tmp_path)
    assert len(commands()) == 6
    for script, *arguments in commands():
        own = [re.sub(r"^docs/examples$", str(REPOSITORY / "docs" / "examples"), word) for word in arguments]
        assert run(script, *own, *SMALLER.get(script, ())) == 0
    labels = np.load(tmp_path / "datasets/walkway/train/monday/labels_v2/labels.npz")["labels"]
    assert set(labels["class_id"].tolist()) == {0, 1, 2}
    table = capsys.readouterr().out
    assert all(name in table for name in ("pedestrian", "bicycle", "dog"))
    for video in ("look.mp4", "detections.mp4"):
        shown = probe_video(tmp_path / video)
        assert (shown.height, shown.width) == (2 * HW[0], 2 * HW[1]), "enlarged to about 640 pixels"


def test_the_file_is_the_one_that_is_documented() -> None:
    assert (REPOSITORY / "docs/examples/dataset/walkway.yaml").read_text(encoding="utf-8") in PAGE
