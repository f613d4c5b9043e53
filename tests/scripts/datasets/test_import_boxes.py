"""scripts/import_boxes.py: boxes of any layout beside recordings, and every one of them accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data.box_files.classes import ClassNames
from data.box_files.read import BoxContext
from data.box_files.times import ImageTimes
from data.events.bbox import read_bbox_npy
from data.importers.boxes import BEFORE_ZERO, LEFT_OUT, NO_RECORDING, check_free, foreseen, plan_import, write_import
from data.preprocessing.config import PreprocessConfig
from data.sequences.account import OUTSIDE, UNUSABLE
from scripts.import_boxes import path_of, splits_of, tell_foreseen
from tests.helpers.commands import REPOSITORY, failure, run
from tests.helpers.recordings.box_layouts import (
    CLASSES,
    HW,
    RATE_HZ,
    Box,
    some_boxes,
    time_us,
    write_coco,
    write_csv,
    write_recording,
    write_yolo,
)
from tests.helpers.recordings.raw_recordings import content
from utils.errors import UserError

DATASET = ("--config-dir", str(REPOSITORY / "docs" / "examples"), "dataset=walkway", "dataset.representation.bins=2")


def context(**renamed: str | None) -> BoxContext:
    return BoxContext(ClassNames(CLASSES, renamed), HW)


def recordings(root: Path, *names: str) -> Path:
    """Folders with files that are called as recordings."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def at_rate(_: Path) -> ImageTimes:
    return ImageTimes(RATE_HZ)


def test_the_same_boxes_give_the_same_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for layout in ("coco", "yolo"):
        raw, out = tmp_path / layout / "raw", tmp_path / layout / "dataset"
        boxes = {name: write_recording(raw / "train", name, seed, 12) for seed, name in enumerate(("a", "a_2"))}
        labels = tmp_path / layout / "labels"
        source = write_coco(labels.with_suffix(".json"), boxes) if layout == "coco" else write_yolo(labels, boxes)
        arguments = (f"raw_path={raw}", f"boxes={source}", "rate_hz=30")
        before = content(raw)
        assert run("scripts/import_boxes.py", *DATASET, *arguments, "dry_run=true") == 0
        assert content(raw) == before
        assert "train/a_2_bbox.npy" in capsys.readouterr().out
        assert run("scripts/import_boxes.py", *DATASET, *arguments) == 0
        arguments = (f"raw_path={raw}", f"dataset.path={out}", "hardware.num_workers=0")
        assert run("scripts/preprocess_dataset.py", *DATASET, *arguments) == 0
        made.append(content(out))
    assert len(made[0]) > 6
    assert made[0] == made[1]


def test_every_box_is_accounted_for(tmp_path: Path) -> None:
    raw = recordings(tmp_path / "raw", "train/a.npz", "val/b_td.dat", "val/c.npz")
    source = write_coco(tmp_path / "labels.json", {"b": some_boxes(4), "a": some_boxes(2), "other": some_boxes(3)})
    planned, account = plan_import(raw, source, context(dog=None), at_rate)
    assert [(one.file.relative_to(raw).as_posix(), one.images, one.left_out) for one in planned] == [
        ("train/a_bbox.npy", 2, 1),
        ("val/b_bbox.npy", 4, 2),
    ]
    assert account.as_dict() == {"read": 18, "kept": 9, "dropped": {NO_RECORDING: 6, LEFT_OUT: 3}}
    check_free(planned, overwrite=False)
    write_import(planned)
    boxes = read_bbox_npy(raw / "val" / "b_bbox.npy")
    assert boxes["t"].tolist() == [time_us(box.frame) for box in some_boxes(4) if box.class_id != 2]
    check_free(planned, overwrite=False)  # the same boxes are no others


def test_files_are_called_as_recordings(tmp_path: Path) -> None:
    raw, source = recordings(tmp_path / "raw", "train/a.npz", "train/b_td.dat", "val/c.npz"), tmp_path / "labels"
    source.mkdir()
    for name in ("a", "b", "c_bbox"):
        write_coco(source / f"{name}.json", {"images": some_boxes(2)})
    planned, account = plan_import(raw, source, context(), at_rate)
    assert [(one.file.name, len(one.boxes)) for one in planned] == [
        ("a_bbox.npy", 4),
        ("b_bbox.npy", 4),
        ("c_bbox.npy", 4),
    ]
    assert account.kept == account.read == 12


def test_boxes_that_are_there_are_not_replaced_unasked(tmp_path: Path) -> None:
    raw = recordings(tmp_path / "raw", "train/a.npz")
    write_import(plan_import(raw, write_coco(tmp_path / "a.json", {"x": some_boxes(2)}), context(), at_rate)[0])
    planned, _ = plan_import(raw, write_coco(tmp_path / "a.json", {"x": some_boxes(3)}), context(), at_rate)
    with pytest.raises(UserError, match="overwrite=true"):
        check_free(planned, overwrite=False)
    check_free(planned, overwrite=True)
    write_csv(raw / "train" / "a_bbox.csv", some_boxes(1))
    with pytest.raises(UserError, match=r"a_bbox\.csv"):
        check_free(planned, overwrite=True)


def test_boxes_of_one_time_have_an_order_of_their_own(tmp_path: Path) -> None:
    raw = recordings(tmp_path / "raw", "train/a.npz")
    both = [write_yolo(tmp_path / name, {"a": boxes}) for name, boxes in _two_orders()]
    one, other = (plan_import(raw, source, context(), at_rate)[0][0].boxes for source in both)
    np.testing.assert_array_equal(one, other)


def _two_orders() -> list[tuple[str, list[Box]]]:
    return [("first", some_boxes()), ("second", some_boxes()[::-1])]


@pytest.mark.parametrize(
    ("names", "images", "message"),
    [
        (["train/readme.md"], {"a": some_boxes(1)}, "recordings in train"),
        (["train/a.npz", "val/a.npz"], {"a": some_boxes(1)}, "one recording per name"),
        (["train/a.npz", "train/b.npz"], {"c": some_boxes(1)}, "named after recordings"),
    ],
)
def test_images_must_tell_their_recording(
    names: list[str], images: dict[str, list[Box]], message: str, tmp_path: Path
) -> None:
    raw = recordings(tmp_path / "raw", *names)
    with pytest.raises(UserError, match=message):
        plan_import(raw, write_coco(tmp_path / "labels.json", images), context(), at_rate)


def test_numbers_without_a_class_are_refused(tmp_path: Path) -> None:
    raw = recordings(tmp_path / "raw", "train/a.npz")
    source = tmp_path / "labels.json"
    write_coco(source, {"a": some_boxes(3)})
    source.write_text(json.dumps({**json.loads(source.read_text()), "categories": []}))  # ids 1, 2, 3
    with pytest.raises(UserError, match=r"none for 1 \(2 boxes\), 2 \(2 boxes\), 3"):
        plan_import(raw, source, context(), at_rate)
    assert plan_import(raw, source, context(**dict(zip("123", CLASSES, strict=True))), at_rate)[1].kept == 6
    table = write_csv(tmp_path / "a.csv", some_boxes(3), "123")
    with pytest.raises(UserError, match="subtract 1"):
        plan_import(raw, table, context(), lambda _: ImageTimes())
    table.write_text("t,x,y,w,h,class\n1,5,5,9,9,3\n")
    with pytest.raises(UserError) as told:
        plan_import(raw, table, context(), lambda _: ImageTimes())
    assert "ids 3" in told.value.got
    assert "subtract 1" not in told.value.fix, "one box does not say where ids start"


def test_times_come_from_a_table_for_each_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "raw" / "train", "a", 0, 4)
    source = write_coco(tmp_path / "labels.json", {"a": some_boxes(2)})
    arguments = (
        *DATASET,
        f"raw_path={tmp_path / 'raw'}",
        f"boxes={source}",
        f"times={tmp_path}/NAME_times.txt",
        "start_ms=1",
    )
    assert "a_times.txt" in failure(capsys, "scripts/import_boxes.py", *arguments)
    (tmp_path / "a_times.txt").write_text("5000\n7000\n")
    assert run("scripts/import_boxes.py", *arguments, "from_first_event=true") == 0
    first = int(np.load(tmp_path / "raw" / "train" / "a.npz")["t"][0])
    boxes = read_bbox_npy(tmp_path / "raw" / "train" / "a_bbox.npy")
    assert np.unique(boxes["t"]).tolist() == [6000 + first, 8000 + first]


def test_boxes_that_preprocessing_leaves_out_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = recordings(tmp_path / "raw", "train/a.npz", "val/b.npz")
    sides = ("5,5,30,40", "5,5,30,40", "nan,5,30,40", "5,5,-3,40", "400,5,30,40", "5,5,30,41")
    times = (9, 9, 9, 9, 9, -5)
    lines = [f"{t},{side},dog" for t, side in zip(times, sides, strict=True)]
    (tmp_path / "boxes").mkdir()
    for name, own in (("a", lines), ("b", lines[2:])):
        (tmp_path / "boxes" / f"{name}.csv").write_text("\n".join(["t,x,y,w,h,class", *own]))
    planned, account = plan_import(raw, tmp_path / "boxes", context(), lambda _: ImageTimes())
    settings = PreprocessConfig(sensor_hw=HW, num_classes=len(CLASSES))
    accounts, again = foreseen(planned, settings)
    dropped = {UNUSABLE: 2, OUTSIDE: 1, BEFORE_ZERO: 1}
    assert account.kept == 10
    assert accounts["train"].as_dict() == {"read": 6, "kept": 2, "dropped": dropped}
    assert accounts["val"].as_dict() == {"read": 4, "kept": 0, "dropped": dropped}
    assert again == 1
    tell_foreseen(planned, settings)
    assert "before time 0" in caplog.text
    assert "1 boxes are there once more" in caplog.text


def test_an_image_is_of_one_recording(tmp_path: Path) -> None:
    raw = recordings(tmp_path / "raw", "train/s0.npz", "train/s1.npz", "train/s1_2.npz")
    source = write_coco(tmp_path / "labels.json", {"s1/s1_2": some_boxes(1), "s0": some_boxes(1)})
    planned, _ = plan_import(raw, source, context(), at_rate)
    assert [one.file.name for one in planned] == ["s0_bbox.npy", "s1_2_bbox.npy"]
    source = write_coco(tmp_path / "s0.json", {"s1": some_boxes(1)})
    with pytest.raises(UserError, match="called as s0 and as s1"):
        plan_import(raw, source, context(), at_rate)


def test_settings_that_are_no_paths_or_splits() -> None:
    for value in (3, None, ["a"], ""):
        with pytest.raises(UserError, match="a path"):
            path_of(value, "boxes")
        with pytest.raises(UserError, match="some of train, val, test"):
            splits_of(value)
    assert splits_of(["val"]) == ["val"]
