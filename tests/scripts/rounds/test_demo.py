"""``make demo`` at toy size: the whole loop from events to a table and a video, and again in no time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts import compare_runs
from tests.helpers.commands import REPOSITORY, call
from tests.helpers.warm_python import WarmPython
from utils.errors import UserError
from utils.pictures.video import probe_video

WORLD = "world.num_train=3 world.num_val=1 world.num_test=1 world.duration_s=1.5"
TRAINING = "supervised.steps=4 self_training.steps=3 labels.train_ratio=0.34"


def make_demo(folder: Path, python: Path) -> str:
    sizes = (f"DEMO={folder}", f"DEMO_WORLD={WORLD}", f"DEMO_TRAINING={TRAINING}")
    arguments = ["make", "demo", f"RUN={python}", *sizes]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def first(warm_python: WarmPython, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, make_demo(folder, warm_python.executable)


def test_table_summary_labels_and_video(first: tuple[Path, str]) -> None:
    folder, output = first
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert list(summary["arms"]) == ["baseline", "control1", "round1", "oracle"]
    assert [arm["steps"] for arm in summary["arms"].values()] == [4, 7, 7, 7]
    for arm in summary["arms"].values():
        assert {"AP", "AP_50"} <= arm["test"].keys()
        assert (REPOSITORY / arm["checkpoint"]).exists()
    for name in ("baseline", "control1", "round1", "oracle", "pseudo labels of round1"):
        assert name in output
    assert len(list((folder / "run" / "round1_labels" / "train").iterdir())) == 3
    video = probe_video(folder / "detections.mp4")
    assert (video.height, video.width) == (512, 512)


def test_again_everything_is_there(first: tuple[Path, str], warm_python: WarmPython) -> None:
    folder, _ = first
    before = (folder / "run" / "summary.json").read_bytes()
    output = make_demo(folder, warm_python.executable)
    assert "started" not in output
    assert (folder / "run" / "summary.json").read_bytes() == before


def test_runs_are_compared(first: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = first[0] / "run"
    capsys.readouterr()
    assert call(compare_runs.main, "compare_runs.py", str(root), str(root)) == 0
    table = capsys.readouterr().out
    assert "| round1 | few labels + pseudo labels | 7 |" in table
    assert "± 0.0" in table
    with pytest.raises(UserError, match=r"summary\.json"):
        call(compare_runs.main, "compare_runs.py", str(tmp_path))
