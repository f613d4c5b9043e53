"""The soak test of labelling itself: killed runs end with the same files, a difference is seen, memory is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts.soak import labelling as soak_labelling
from scripts.soak import runs as soak_runs
from tests.helpers.commands import call
from tests.helpers.forked_steps import FORKING, forked_steps  # noqa: F401 # a fixture
from tests.helpers.made_once import MadeOnce
from utils.errors import UserError

PROGRAM = "labelling.py"


@pytest.mark.usefixtures("forked_steps", "warm")
def test_one_kill_and_memory(
    made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak_runs, "subprocess", FORKING)
    monkeypatch.setattr(soak_runs, "_STARTS", 0.0)  # forked programs are too quick to be met while they start
    monkeypatch.setattr(soak_runs, "_LATEST_S", 0.02)
    dataset = made_once.dataset(train=2)
    start = ("--dataset-path", str(dataset), "--output", str(tmp_path / "soak"))
    status = call(
        soak_labelling.main, PROGRAM, *start, "--kills", "1", "--sequences", "2", "--memory", "2",
        "--report", str(tmp_path / "report.md"), "--picture", str(tmp_path / "memory.png"),
        "logging.report=false",
    )  # fmt: skip
    text = capsys.readouterr().out
    assert status == 0, text
    assert "1 SIGKILL" in text
    assert "undisturbed run? yes" in text
    assert "| 2 | " in text.split("peak memory")[1]
    assert (tmp_path / "report.md").read_text().strip() == text.strip()
    with Image.open(tmp_path / "memory.png") as picture:
        assert min(picture.size) > 200
    runs = tmp_path / "soak" / "runs"
    one = soak_labelling.tree(runs / "undisturbed" / "labels")
    labels = next((runs / "killed" / "labels" / "train" / "0001").rglob("labels.npz"))
    labels.write_bytes(labels.read_bytes() + b"x")
    other = soak_labelling.tree(runs / "killed" / "labels")
    assert [name for name in one if one[name] != other[name]] == ["train/0001/labels_v2/labels.npz"]
    assert "NO: a" in soak_labelling.report([], 3, ["a"])
    with pytest.raises(UserError, match="--output"):
        call(soak_labelling.main, PROGRAM, *start)
