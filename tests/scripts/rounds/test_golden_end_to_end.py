"""A trained detector on the golden dataset through val.py and predict.py: the reference's figures and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.sequences.layout import SequencePaths, read_labels
from tests.helpers.commands import run
from tests.helpers.golden_files import GOLDEN, golden_dataset, load_golden

REPR_NAME = "stacked_histogram_dt=50_nbins=10"
RECORD = json.loads((GOLDEN / "09_e2e.json").read_text())
SETTINGS = (
    "dataset=gen1", "+experiment/gen1=tiny", "dataset.sequence_length=8", "batch_size.eval=2", "training.precision=32",
    "hardware.accelerator=cpu", "hardware.threads=1", "hardware.num_workers.eval=0", "logging.progress_bar=false",
    "logging.report=false",
)  # fmt: skip
EVALUATIONS = {
    "test_conf0.1": ("use_test_set=1", "model.postprocess.confidence_threshold=0.1"),
    "test_conf0.001": ("use_test_set=1", "model.postprocess.confidence_threshold=0.001"),
    "test_reverse": ("use_test_set=1", "model.postprocess.confidence_threshold=0.1", "reverse=true"),
    "test_tta": ("use_test_set=1", "model.postprocess.confidence_threshold=0.1", "tta.enable=true"),
    "val_conf0.1": ("use_test_set=0", "model.postprocess.confidence_threshold=0.1"),
}
LABELLINGS = {
    "ratio0.5": ("dataset.ratio=0.5",),
    "ratio0.5_tta": ("dataset.ratio=0.5", "tta.enable=true"),
    "train_ratio0.5": ("dataset.train_ratio=0.5",),
}
COLUMNS = ("class_id", "x", "y", "w", "h", "class_confidence", "objectness")
# Pixels and probabilities: what the reference's own runs differ by between versions of torch.
TOLERANCE = np.array([0, 3e-4, 3e-4, 3e-4, 3e-4, 1.2e-5, 1.2e-5])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "trained.ckpt"
    weights = load_golden("09_weights_e2e")
    torch.save({"state_dict": {name: torch.from_numpy(values) for name, values in weights.items()}}, path)
    return path


SOAK = {"test_conf0.1", "test_conf0.001", "test_tta", "val_conf0.1", "ratio0.5", "ratio0.5_tta"}
"""Rows that go the way of others, with other thresholds, splits or views, and the four views, which take minutes."""


def rows(table: dict[str, tuple[str, ...]]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.soak] if name in SOAK else []) for name in table]


@pytest.mark.parametrize("name", rows(EVALUATIONS))
def test_evaluation_equals_the_reference(trained: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / "figures.json"
    arguments = (*SETTINGS, *EVALUATIONS[name], f"dataset.path={golden_dataset()}", f"checkpoint={trained}")
    assert run("val.py", *arguments, f"save_json={file}") == 0
    figures = json.loads(file.read_text())["figures"]
    golden = {key.removeprefix("test/"): value for key, value in RECORD[name]["metrics"].items() if "batch" not in key}
    expected = {key.replace("_ped", "_pedestrian"): value for key, value in golden.items()}
    assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", rows(LABELLINGS))
def test_pseudo_labels_equal_the_reference(trained: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "train"
    arguments = (*SETTINGS, *LABELLINGS[name], f"dataset.path={golden_dataset()}", f"checkpoint={trained}")
    more = ("model=pseudo_labeler", f"save_dir={folder}", "model.pseudo_label.keep_views=true")
    assert run("predict.py", *more, *arguments) == 0
    golden = load_golden("09_e2e", f"{name}/")
    names = sorted({key.split("/")[1] for key in golden})
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == names
    for sequence in names:
        theirs = {key.rpartition("/")[2]: value for key, value in golden.items() if f"/{sequence}/" in key}
        ours = read_labels(SequencePaths(folder / sequence, REPR_NAME, False))
        for index in ("objframe_idx_2_label_idx", "objframe_idx_2_repr_idx"):
            np.testing.assert_array_equal(getattr(ours, index), theirs[index], err_msg=f"{sequence} {index}")
        starts = theirs["objframe_idx_2_label_idx"][1:]
        np.testing.assert_allclose(ours.boxes["t"], theirs["labels"]["t"], atol=2)  # theirs went through float32
        for mine, other in zip(np.split(ours.boxes, starts), np.split(theirs["labels"], starts), strict=True):
            same_set(columns(mine), columns(other))
        compare_views(tmp_path / "views" / f"{sequence}.npz", theirs)


def compare_views(file: Path, theirs: dict[str, Any]) -> None:
    """Boxes of all views before they are merged and tracked, frame by frame; ground truth where there is some."""
    with np.load(file, allow_pickle=False) as archive:
        views = dict(archive)
    truth = dict(
        zip(views["gt_frames"].tolist(), np.split(views["gt"], np.cumsum(views["gt_counts"])[:-1]), strict=False)
    )
    found = np.split(views["rows"], np.cumsum(views["counts"])[:-1])
    raw = np.split(theirs["raw_boxes"], np.cumsum(theirs["raw_n"])[:-1])
    for frame, other in zip(theirs["raw_frame_idx"].tolist(), raw, strict=True):
        if frame in truth:
            mine = columns(truth[frame])
        else:
            rows = [rows for number, rows in zip(views["frames"], found, strict=True) if number == frame]
            mine = np.concatenate(rows)[:, [5, 1, 2, 3, 4, 6, 7]]
        same_set(mine, other[:, [5, 1, 2, 3, 4, 6, 7]])


def columns(boxes: Any) -> np.ndarray[Any, Any]:
    return np.stack([boxes[name].astype(np.float64) for name in COLUMNS], axis=1)


def same_set(mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> None:
    """Boxes [n, 7] of a frame in any order: equal scores change places between versions of torch."""
    assert len(mine) == len(theirs)
    distance = (np.abs(mine[:, None].astype(np.float64) - theirs) / (TOLERANCE + 1e-9)).max(-1)
    nearest = distance.argmin(0)
    assert sorted(nearest) == list(range(len(mine)))
    assert (distance.min(0) <= 1).all(), (mine[nearest], theirs)
