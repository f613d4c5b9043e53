"""Split files: the published ones follow from one rule, and what is written is what training then sees."""

from __future__ import annotations

import json
from pathlib import Path

import hydra
import numpy as np
import pytest

from config.resolvers import register_resolvers
from data.supervision.split_files import LabelledFrames, semi_split, split_text, weak_split
from modules.utils.fetch import fetch_data_module
from tests.helpers.commands import failure, run
from tests.helpers.golden_files import golden_dataset
from utils.commands.cli import CONFIG_DIR
from utils.errors import UserError

register_resolvers()

PUBLISHED = CONFIG_DIR / "dataset" / "splits"
RATIOS = ("0.01", "0.02", "0.05", "0.10")


def published(dataset: str, ratio: str) -> str:
    return (PUBLISHED / f"{dataset}_weak_{ratio}.json").read_text(encoding="utf-8")


def labelled_frames(dataset: str, frame_step: int, sequence_length: int) -> list[LabelledFrames]:
    """Sequences whose labelled frames lie where the densest published split says that they must.

    Its first index says how many labelled frames come before frame L-1 (or that none is late enough: then one label
    suffices), its last how many there are at least. The other three splits then have to follow from these.
    """
    found = []
    for name, kept in json.loads(published(dataset, "0.10")).items():
        repr_idx = frame_step * np.arange(kept[-1] + 1) + sequence_length - 1 - frame_step * kept[0]
        found.append(LabelledFrames(name, repr_idx, np.ones_like(repr_idx)))
    return found


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize(("dataset", "frame_step"), [("gen1", 5), ("gen4", 1)])
def test_published_splits_follow_from_the_rule(dataset: str, frame_step: int, ratio: str) -> None:
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("train", [f"dataset={dataset}x{float(ratio):g}_ss"]).dataset
    frames = labelled_frames(dataset, frame_step, cfg.sequence_length)
    assert all(f.repr_idx[0] >= 0 for f in frames), "labels before the first frame"
    made = split_text(weak_split(frames, cfg.ratio, cfg.sequence_length, cfg.ratio_offset))
    assert made == published(dataset, ratio), "byte for byte"


def test_published_splits_are_whole() -> None:
    assert [len(json.loads(published(dataset, r))) for dataset in ("gen1", "gen4") for r in RATIOS] == [1458] * 4 + [
        681
    ] * 4


def arguments(*more: str) -> tuple[str, ...]:
    return ("dataset=gen1", f"dataset.path={golden_dataset()}", "dataset.sequence_length=8", *more)


def test_weak_split_as_the_reference_builds_it(tmp_path: Path) -> None:
    out = tmp_path / "weak.json"
    assert run("scripts/make_splits.py", *arguments("dataset.ratio=0.5", f"output={out}")) == 0
    split = json.loads(out.read_text())
    assert split["17-03-30_12-53-58_0000000_60000000"] == [1, 3, 5, 7, 9, 11, 13]
    assert split["17-04-06_09-57-37_2000000_62000000"] == [0, 2]
    assert run("scripts/make_splits.py", *arguments("dataset.ratio=0.5", f"compare={out}", f"output={out}")) == 0


def test_another_file_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.md").write_text("mine")
    message = failure(
        capsys, "scripts/make_splits.py", *arguments("dataset.ratio=0.5", f"output={tmp_path / 'mine.md'}")
    )
    assert "got:      another file of that name" in message
    assert (tmp_path / "mine.md").read_text() == "mine"


def hidden(*overrides: str) -> dict[str, list[int]]:
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("train", list(arguments(*overrides)))
    sequences = fetch_data_module(cfg).sequences("train")
    return {sequence.name: np.flatnonzero(sequence.visible).tolist() for sequence in sequences}


@pytest.mark.parametrize(
    "keys", [("dataset.ratio=0.34", "dataset.ratio_offset=2"), ("dataset.ratio=0.1",), ("dataset.train_ratio=0.5",)]
)
def test_training_sees_the_same_labels_with_the_file_as_with_the_ratio(keys: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "split.json"
    assert run("scripts/make_splits.py", *arguments(*keys, f"output={out}")) == 0
    assert hidden(f"dataset.split_file={out}") == hidden(*keys)


def test_offsets_of_semi_splits_part_the_sequences() -> None:
    names = [f"s{index:02d}" for index in range(20)]
    parts = [semi_split(names, 0.2, offset) for offset in range(5)]
    assert sorted(name for part in parts for name in part) == names


def test_no_label_is_left() -> None:
    short = [LabelledFrames("a", np.array([8]), np.array([1]))]
    with pytest.raises(UserError, match="none of 1 labelled frames"):
        weak_split(short, 0.1, 8, offset=3)


def test_another_dataset_differs_from_the_published_split(capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(
        capsys, "scripts/make_splits.py",
        *arguments("dataset.ratio=0.01", f"compare={PUBLISHED / 'gen1_weak_0.01.json'}"),
    )  # fmt: skip
    assert "sequences differ" in message
