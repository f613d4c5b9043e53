"""Where pseudo labels may go: never into ground truth, by whatever links it is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.labelling.dataset import check_target
from utils.errors import UserError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A pseudo dataset whose val is linked to ground truth; returns its train split."""
    for folder in ("truth/train", "truth/val", "pseudo/train", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pseudo" / "val").symlink_to(tmp_path / "truth" / "val")
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "val").symlink_to(tmp_path / "pseudo" / "val")
    (tmp_path / "next" / "linked").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "pseudo" / "train"


@pytest.mark.parametrize(
    "save_dir",
    ["pseudo/train", "pseudo/val", "pseudo/val/more", "truth/val", "next/val", "next/../truth/val", "pseudo/train2",
     "truth/train", "next/linked"],
)  # fmt: skip
def test_ground_truth_is_not_written_into(source: Path, tmp_path: Path, save_dir: str) -> None:
    with pytest.raises(UserError, match="a new folder"):
        check_target(tmp_path / save_dir, source)


@pytest.mark.parametrize("save_dir", ["next/train", "new/train", "pseudo/round2/train", "elsewhere/train"])
def test_a_folder_of_its_own_is_taken(source: Path, tmp_path: Path, save_dir: str) -> None:
    check_target(tmp_path / save_dir, source)
