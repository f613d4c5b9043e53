"""Compose, train, label, train on the labels: through the real configs, weak and semi, restartable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data.sequences.layout import SequencePaths, read_labels
from tests.helpers.commands import SMALL, failure, run
from tests.helpers.made_once import MadeOnce
from tests.helpers.tiny_dataset import REPR_NAME


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset()


@pytest.fixture(scope="module")
def teacher(made_once: MadeOnce) -> Path:
    return made_once.teacher()


def label_arguments(dataset: Path, teacher: Path, out: Path, *more: str) -> tuple[str, ...]:
    return (
        "model=pseudo_labeler", *SMALL, f"dataset.path={dataset}", f"checkpoint={teacher}",
        f"save_dir={out / 'train'}", "tta.enable=true", "model.pseudo_label.obj_thresh=0.02",
        "model.pseudo_label.cls_thresh=0.02", *more,
    )  # fmt: skip


def tree_bytes(folder: Path) -> dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*.np*") if file.is_file() and "event_repr" not in file.name)
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize(
    "supervision", ["dataset.ratio=0.25", pytest.param("dataset.train_ratio=0.34", marks=pytest.mark.soak)]
)
def test_label_and_train_again(
    dataset: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], supervision: str
) -> None:
    out = tmp_path / "labels"
    arguments = label_arguments(dataset, teacher, out, supervision, "model.pseudo_label.keep_views=true")
    assert run("predict.py", *arguments) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["pseudo"] > 0
    sequences = sorted((out / "train").iterdir())
    assert [path.name for path in sequences] == sorted(path.name for path in (dataset / "train").iterdir())
    assert (out / "val").resolve() == (dataset / "val").resolve()

    visible = 0
    for sequence in sequences:
        new = read_labels(SequencePaths(sequence, REPR_NAME, True))
        old = read_labels(SequencePaths(dataset / "train" / sequence.name, REPR_NAME, True))
        truth = new.boxes[new.boxes["t"] > 0]
        assert np.isin(truth["t"], old.boxes["t"]).all()
        visible += len(np.unique(truth["t"]))
    share = visible / (24 * len(sequences))
    assert share == pytest.approx(0.25 if "dataset.ratio" in supervision else 1 / 3, abs=0.05), (
        "hidden labels stay hidden"
    )

    before = tree_bytes(out)
    assert run("predict.py", *arguments) == 0
    assert tree_bytes(out) == before
    # A sequence that is missing, as after a kill, is labelled again to the same bytes.
    removed = sequences[1]
    for path in sorted(removed.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    removed.rmdir()
    for program in ("train.py", "val_dst.py"):
        model = ("model=pseudo_labeler",) if program == "val_dst.py" else ()
        message = failure(capsys, program, *model, *SMALL, f"dataset.path={out}")
        assert "labelling unfinished: 2 of 3 sequences" in message
        assert "allow_unfinished=true" in message
    assert run("predict.py", *arguments) == 0
    assert tree_bytes(out) == before
    assert "hides pseudo labels" in failure(capsys, "train.py", *SMALL, f"dataset.path={out}", supervision)
    other = label_arguments(dataset, teacher, out, "dataset.ratio=0.5", "model.pseudo_label.keep_views=true")
    assert "ratio" in failure(capsys, "predict.py", *other), "other settings do not mix"

    student = tmp_path / "student"
    status = run(
        "train.py", "model=rnndet-soft", *SMALL, f"dataset.path={out}", f"output.dir={student}",
        f"weight={teacher}", "training.max_steps=2",
    )  # fmt: skip
    assert status == 0

    quality = tmp_path / "quality.json"
    status = run(
        "val_dst.py", "model=pseudo_labeler", *SMALL, f"dataset.path={out}", "checkpoint=1",
        "model.pseudo_label.obj_thresh=0.01", "model.pseudo_label.cls_thresh=0.01", f"save_json={quality}",
        f"save_picture={tmp_path / 'quality.png'}",
    )  # fmt: skip
    assert status == 0
    figures = json.loads(quality.read_text())
    assert set(figures["one_to_one"]) == {"all", "car", "pedestrian"}
    assert 0 <= figures["one_to_one"]["car"]["precision_50"] <= 1
    assert {"AP", "AP_50"} <= figures["prophesee"].keys()
    assert (tmp_path / "quality.png").stat().st_size > 1000

    steps = figures["steps"]
    assert list(steps) == ["detections", "+ mirrored, reversed views", "+ NMS over the views", "+ tracking"]
    assert steps["+ tracking"]["one_to_one"] == figures["one_to_one"]
    boxes = [row["boxes"] for row in steps.values()]
    assert boxes[0] <= boxes[1] >= boxes[2] >= boxes[3]
    recall = [row["one_to_one"]["all"]["recall_25"] for row in steps.values()]
    assert recall[1] >= max(recall[0], recall[2])
    assert (tmp_path / "quality_steps.png").stat().st_size > 1000


def test_labels_without_any_box_and_tracking_again(
    dataset: Path, teacher: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strict = tmp_path / "strict"
    none = (
        "dataset.train_ratio=0.34",
        "tta.enable=false",
        "model.pseudo_label.obj_thresh=0.999",
        "model.pseudo_label.cls_thresh=0.999",
    )
    arguments = [a for a in label_arguments(dataset, teacher, strict) if "_thresh=" not in a and "tta." not in a]
    assert run("predict.py", *arguments, *none) == 0
    assert json.loads((strict / "summary.json").read_text())["pseudo"] == 0
    assert "no detection became a pseudo label" in caplog.text
    status = run(
        "train.py", "model=rnndet-soft", *SMALL, f"dataset.path={strict}", f"output.dir={tmp_path / 'student'}",
        "training.max_steps=2",
    )  # fmt: skip
    assert status == 0

    loose, again = tmp_path / "loose", tmp_path / "again"
    untracked = ("dataset.ratio=0.25", "model.pseudo_label.min_track_len=0", "model.pseudo_label.inpaint=false")
    assert run("predict.py", *label_arguments(dataset, teacher, loose, *untracked)) == 0
    status = run(
        "predict.py", "model=pseudo_labeler", *SMALL, f"dataset.path={loose}", "model.only_load_labels=true",
        f"save_dir={again / 'train'}", "model.pseudo_label.obj_thresh=0.02", "model.pseudo_label.cls_thresh=0.02",
    )  # fmt: skip
    assert status == 0
    before, after = (json.loads((folder / "summary.json").read_text()) for folder in (loose, again))
    assert after["ground_truth"] == before["ground_truth"]
    assert after["pseudo"] + after["ignored_short_track"] == before["pseudo"]


def test_views_that_agree_and_as_many_boxes_as_labelled_frames_have(
    dataset: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, quality = tmp_path / "labels", tmp_path / "quality.json"
    chosen = ("tta.merge=agreement", "tta.merge_floor=0.005", "model.pseudo_label.thresholds=frequency")
    more = ("model.pseudo_label.unsure_factor=2", "model.pseudo_label.keep_views=true", "dataset.ratio=0.25")
    assert run("predict.py", *label_arguments(dataset, teacher, out, *chosen, *more)) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    sure, unsure = (np.array(manifest["thresholds"][key]) for key in ("sure", "unsure"))
    assert (unsure >= 0).all()
    assert (unsure <= sure).all()
    assert (unsure < sure).any()
    assert manifest["summary"]["pseudo"] > 0
    nowhere = label_arguments(dataset, teacher, tmp_path / "none", *chosen, "model.use_gt=false")
    assert "frames with ground truth" in failure(capsys, "predict.py", *nowhere), "before the detector runs"
    assert not list((tmp_path / "none").glob("*/manifest.json"))

    every = ("model.pseudo_label.obj_thresh=0", "model.pseudo_label.cls_thresh=0", f"dataset.path={out}")
    assert run("val_dst.py", "model=pseudo_labeler", *SMALL, *every, f"save_json={quality}") == 0
    assert "+ agreement of the views" in json.loads(quality.read_text())["steps"]

    capsys.readouterr()
    folders = ("--checkpoint", str(teacher), "--labels", str(out), "--source", str(dataset))
    assert run("scripts/ablation/anchors.py", *folders, "--ignore-thresholds", "0.1", "--batches", "20") == 0
    text = capsys.readouterr().out
    assert "| every box is a label | " in text
    assert "| pedestrian, per cent | found | freed |" in text
