"""Values of the wrong kind are one message each, before anything reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.compose import compose
from modules.evaluation.streams import StreamingEvaluation
from modules.labelling.config import pseudo_labeler_config
from tests.helpers.commands import SMALL, failure
from utils.commands.kinds import compare_kinds
from utils.errors import UserError

USUAL = {
    "validation": {"val_check_interval": 0, "limit_val_batches": 1.0},
    "switch": True,
    "name": "a",
    "words": ["car"],
    "numbers": [1, 2.5],
    "dataset": {"classes": ["car"]},
    "anything": None,
    "training": {"precision": 16},
    "threads": 1,
    "settings": ["a.b=2", "c=d"],
}


@pytest.mark.parametrize(
    "given",
    [
        {"anything": [1], "switch": 0, "name": 5, "threads": None, "validation": {"limit_val_batches": 3}},
        {
            "validation": "${other}",
            "words": [],
            "numbers": [0.5],
            "dataset": {"classes": [1]},
            "training": {"precision": "bf16"},
            "switch": "${tta.enable}",
        },
    ],
)
def test_what_agrees(given: dict[str, object]) -> None:
    compare_kinds(USUAL, given)


def test_what_models_leave_open() -> None:
    compare_kinds({"model": {"max_candidates": 5000}}, {"model": {"max_candidates": None}})
    stages = {"model": {"vrt": {"single_frame_stages": []}}}
    compare_kinds(stages, {"model": {"vrt": {"single_frame_stages": [7]}}})
    with pytest.raises(UserError, match="a list of numbers"):
        compare_kinds(stages, {"model": {"vrt": {"single_frame_stages": ["last"]}}})


@pytest.mark.parametrize(
    ("given", "key", "fix"),
    [
        ({"validation": None}, "validation", "validation.val_check_interval=..."),
        ({"validation": {"limit_val_batches": "x"}}, "validation.limit_val_batches", "=1.0"),
        ({"validation": {"val_check_interval": float("nan")}}, "validation.val_check_interval", "=0"),
        ({"validation": {"val_check_interval": True}}, "validation.val_check_interval", "=0"),
        ({"switch": "maybe"}, "switch", "switch=false"),
        ({"switch": 2}, "switch", "switch=false"),
        ({"switch": None}, "switch", "switch=true"),
        ({"name": {"a": 1}}, "name", "name=VALUE"),
        ({"name": None}, "name", "name=VALUE"),
        ({"words": "car"}, "words", "words=[car]"),
        ({"settings": None}, "settings", '\'settings=["a.b=2","c=d"]\''),
        ({"words": [1]}, "words", "words=[car]"),
        ({"words": [None]}, "words", "words=[car]"),
        ({"numbers": [1, "a"]}, "numbers", "numbers=[1,2.5]"),
    ],
)
def test_what_does_not(given: dict[str, object], key: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        compare_kinds(USUAL, given)
    assert caught.value.where == key
    assert fix in caught.value.fix


def test_commands_say_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    train = (*SMALL, f"dataset.path={tmp_path}", f"output.dir={tmp_path / 'run'}")
    for mistake in (
        *("validation=null", "output=null", "model.postprocess=null", "model.head=null", "weight_strict=maybe"),
        *("reproduce.seed_everything=-1", "validation.limit_val_batches=-1", "validation.limit_val_batches=7.5"),
    ):
        assert mistake.split("=")[0] in failure(capsys, "train.py", *train, mistake)
    for group, option in (("debug", "fast"), ("semi", "mean_teacher")):
        assert f"+{group}={option}" in failure(capsys, "train.py", *train, f"{group}={option}")
    assert "+semi=mean_teacher" in failure(capsys, "train.py", *train, "semi.decay=0.9")
    for group in ("+semi=[1]", "model=[rnndet,2]"):
        assert "/*.yaml" in failure(capsys, "train.py", *train, group)
    for group in ("+debug", "model", "training"):
        assert f"config/{group.lstrip('+')}/*.yaml" in failure(capsys, "train.py", *train, f"{group}=null")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("postprocess.confidence_threshold", -1.0),
        ("postprocess.nms_threshold", 7.0),
        ("pseudo_label.min_track_len", "x"),
        ("pseudo_label.iou_threshold", float("nan")),
        ("pseudo_label.tracker", "sort"),
        ("pseudo_label.fill_gap", -1),
        ("pseudo_label.unsure_factor", "x"),
    ],
)
def test_ranges_of_detection_and_labelling(key: str, value: object) -> None:
    config = compose(["dataset=gen1", "save_dir=a"], "predict")
    section, name = key.split(".")
    config["model"][section][name] = value
    with pytest.raises(UserError) as caught:
        (StreamingEvaluation if section == "postprocess" else pseudo_labeler_config)(config)
    assert caught.value.where == f"model.{key}"


def test_of_two_factors_the_unsure_one_is_no_smaller() -> None:
    labels = ("model.pseudo_label.unsure_factor=0.5", "model.pseudo_label.thresholds=frequency")
    config = compose(["dataset=gen1", "save_dir=a", *labels], "predict")
    with pytest.raises(UserError, match="frequency_factor=1") as caught:
        pseudo_labeler_config(config)
    assert caught.value.where == "model.pseudo_label.unsure_factor"


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        (("unsure_factor=2",), "thresholds=frequency"),
        (("unsure_thresh=0.1", "thresholds=frequency"), "thresholds=fixed"),
        (("unsure_precision=0.5", "thresholds=frequency"), "thresholds=precision"),
        (("unsure_precision=0.99", "thresholds=precision"), "0 to 0.95"),
        (("smooth=true",), "tracker=joint"),
        (("keep_stopped=40",), "tracker=joint"),
        (("frequency_factor=0", "thresholds=frequency"), "above 0"),
    ],
)
def test_what_would_change_no_label_is_refused(given: tuple[str, ...], needed: str) -> None:
    config = compose(["dataset=gen1", "save_dir=a", *(f"model.pseudo_label.{text}" for text in given)], "predict")
    with pytest.raises(UserError, match=needed) as caught:
        pseudo_labeler_config(config)
    assert caught.value.where == f"model.pseudo_label.{given[0].split('=')[0]}"
