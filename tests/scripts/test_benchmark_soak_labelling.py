"""The soak test of labelling itself: killed runs end with the same files, a difference is seen, memory is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts.benchmark import soak_labelling
from scripts.benchmark.soak_labelling_report import kill_table
from tests.helpers.commands import SMALL, run
from tests.helpers.forked_steps import FORKING, forked_steps  # noqa: F401 # a fixture
from tests.helpers.tiny_dataset import write_tiny_dataset
from utils.errors import UserError


def main_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["soak_labelling.py", *arguments])
    try:
        soak_labelling.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.usefixtures("forked_steps")
def test_two_kills_and_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak_labelling, "subprocess", FORKING)
    monkeypatch.setattr(soak_labelling, "_STARTS", 0.0)  # forked programs are too quick to be met while they start
    monkeypatch.setattr(soak_labelling, "_LATEST_S", 0.02)
    dataset = write_tiny_dataset(tmp_path / "data", train=2, val=1, test=0)
    # Whatever is loaded at the first use is loaded here, once for all forked runs.
    assert (
        run("train.py", *SMALL, "training.max_steps=1", f"dataset.path={dataset}", f"output.dir={tmp_path}/warm") == 0
    )
    start = ("--dataset-path", str(dataset), "--output", str(tmp_path / "soak"))
    status = main_of(
        monkeypatch, *start, "--kills", "2", "--sequences", "6", "--memory", "2", "3",
        "--report", str(tmp_path / "report.md"), "--picture", str(tmp_path / "memory.png"),
    )  # fmt: skip
    text = capsys.readouterr().out
    assert status == 0, text
    assert "2 SIGKILLs" in text
    assert "undisturbed run? yes" in text
    assert "| 3 | " in text.split("peak memory")[1]
    assert (tmp_path / "report.md").read_text().strip() == text.strip()
    with Image.open(tmp_path / "memory.png") as picture:
        assert min(picture.size) > 200
    runs = tmp_path / "soak" / "runs"
    one = soak_labelling.tree(runs / "undisturbed" / "labels")
    labels = next((runs / "killed" / "labels" / "train" / "0001").rglob("labels.npz"))
    labels.write_bytes(labels.read_bytes() + b"x")
    other = soak_labelling.tree(runs / "killed" / "labels")
    assert [name for name in one if one[name] != other[name]] == ["train/0001/labels_v2/labels.npz"]
    assert "NO: a" in kill_table([], 3, ["a"])
    with pytest.raises(UserError, match="--output"):
        main_of(monkeypatch, *start)
