"""Thresholds of pseudo labels: every way to write them, for any number of classes, and what a mistake is told."""

from __future__ import annotations

from typing import Any

import pytest

from config.compose import compose
from modules.labelling.config import pseudo_labeler_config
from utils.errors import UserError
from utils.thresholds import check_thresholds, per_class, with_head_thresholds

THREE = ["boat", "buoy", "two-wheeler"]
LABELS = "dataset.pseudo_label"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (0.5, (0.5, 0.5, 0.5)),
        (0, (0.0, 0.0, 0.0)),
        ("0.5", (0.5, 0.5, 0.5)),
        ([0.7, 0.3], (0.3, 0.3, 0.7)),
        ("0.7, 0.3", (0.3, 0.3, 0.7)),
        ([0.1, 0.2, 0.3], (0.1, 0.2, 0.3)),
        ({"two-wheeler": 0.3, "buoy": 0.2, "boat": 1}, (1.0, 0.2, 0.3)),
    ],
)
def test_every_way_to_write_them(values: Any, expected: tuple[float, ...]) -> None:
    assert per_class(values, [1, 1, 0], "x", THREE) == expected


def test_names_do_not_follow_the_kinds() -> None:
    """Two classes, each of the other's place: a list goes by place, a mapping by name."""
    assert per_class([0.6, 0.3], [1, 0], "x", ["a", "b"]) == (0.3, 0.6)
    assert per_class({"a": 0.6, "b": 0.3}, [1, 0], "x", ["a", "b"]) == (0.6, 0.3)


@pytest.mark.parametrize(
    "values",
    ["high", [], [0.1, 0.2, 0.3, 0.4], [0.1, "x"], True, [0.5, 1.5], -0.1, None, {}, {"boat": 0.1}, {"boat": "x"},
     {"boat": 0.1, "buoy": 0.2, "two-wheeler": 0.3, "car": 0.4}],
)  # fmt: skip
def test_mistakes_name_key_and_classes(values: Any) -> None:
    with pytest.raises(UserError, match="one number") as caught:
        per_class(values, [1, 1, 0], "dataset.x", THREE)
    assert caught.value.where == "dataset.x"
    assert "2 or 3 numbers" in caught.value.expected
    assert "boat, buoy, two-wheeler" in caught.value.expected
    assert "[0.6,0.3,0.6]" in caught.value.fix
    assert "{boat:0.6,buoy:0.3,two-wheeler:0.6}" in caught.value.fix


def test_a_message_for_many_classes_stays_short() -> None:
    with pytest.raises(UserError) as caught:
        per_class([0.5, 0.5], range(80), "x", [f"thing{number}" for number in range(80)])
    assert "80 numbers" in caught.value.expected
    assert len(str(caught.value)) < 500


def test_of_the_command_line() -> None:
    config = compose([f"{LABELS}.obj_thresh={{pedestrian:0.2,car:0.4}}", f"{LABELS}.cls_thresh=[0.1,0.2]"], "val_dst")
    assert pseudo_labeler_config(config).thresholds.objectness == (0.4, 0.2)
    assert pseudo_labeler_config(config).thresholds.class_confidence == (0.1, 0.2)
    config = compose(["model.pseudo_label.cls_thresh={pedestrian:0.2,car:0.4}"], "val_dst")
    assert pseudo_labeler_config(config).thresholds.class_confidence == (0.4, 0.2)


@pytest.mark.parametrize("model", ["rnndet", "rnndet-soft"])
@pytest.mark.parametrize("value", ["{pedestrian:0.2,car:0.4}", "[0.4,0.2]"])
def test_of_soft_anchors(model: str, value: str) -> None:
    for key in ("model.head.ignore_bbox_thresh", f"{LABELS}.ignore_thresh"):
        if model == "rnndet-soft" or key.startswith("model"):
            config = with_head_thresholds(compose([f"model={model}", f"{key}={value}"]))
            assert config["model"]["head"]["ignore_bbox_thresh"] == [0.4, 0.2]


def test_soft_anchors_mix_into_any_model() -> None:
    config = compose(["model=rnndet-efficientnet", "+model/head=soft", "dataset=gen4"])
    assert config["model"]["head"]["ignore_bbox_thresh"] == [0.35, 0.35, 0.7]


@pytest.mark.parametrize("key", ["obj_thresh", "cls_thresh", "ignore_thresh"])
def test_all_are_checked_whoever_reads_them(key: str) -> None:
    check_thresholds(compose([]))
    with pytest.raises(UserError, match=f"{LABELS}.{key}"):
        check_thresholds(compose([f"{LABELS}.{key}=[0.1,0.2,0.3]"]))
    with pytest.raises(UserError, match="threshold_index"):
        check_thresholds(compose([f"{LABELS}.threshold_index=[0,1,1]"]))
