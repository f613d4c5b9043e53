"""Boxes in tables beside recordings, for preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.preprocessing.config import PreprocessConfig
from data.preprocessing.dataset import preprocess_dataset
from data.sequences.account import OTHER_CLASS
from data.sequences.record import read_record
from data.sequences.sources import MADE_FROM
from tests.helpers.recordings.raw_recordings import boxes_at, config, content, every_ms, make_raw
from utils.errors import UserError

NAMES = ("car", "person")


def settings(**more: Any) -> PreprocessConfig:
    return config(num_raw_classes=None, num_classes=2, classes=NAMES, **more)


def with_tables(root: Path, *names: str) -> Path:
    """The boxes of ``make_raw`` in tables, of these classes in turn."""
    raw = make_raw(root, splits=("train",))
    for path in raw.rglob("*_bbox.npy"):
        boxes = boxes_at(every_ms(50))
        lines = [f"{box['t']},4,5,12,10,{names[index % len(names)]}" for index, box in enumerate(boxes)]
        path.with_suffix(".csv").write_text("\n".join(["t,x,y,w,h,class", *lines]))
        path.unlink()
    return raw


def test_a_table_gives_the_dataset_of_the_array(tmp_path: Path) -> None:
    preprocess_dataset(make_raw(tmp_path / "array", splits=("train",)), tmp_path / "of_array", settings())
    preprocess_dataset(with_tables(tmp_path / "table", "Car"), tmp_path / "of_table", settings())
    table, array = content(tmp_path / "of_table"), content(tmp_path / "of_array")
    assert table.keys() == array.keys()
    differ = {str(name) for name in table if table[name] != array[name]}
    # The records say of which files the sequences were made, the manifest holds the records' checksums.
    assert differ == {"manifest.json", "train/s0/sequence.json", "train/s1/sequence.json"}
    for name in ("s0", "s1"):
        of_table, of_array = (read_record(tmp_path / folder / "train" / name) for folder in ("of_table", "of_array"))
        assert of_table
        assert of_array
        assert of_table.pop(MADE_FROM).keys() == {f"{name}_td.dat", f"{name}_bbox.csv"}
        assert of_array.pop(MADE_FROM).keys() == {f"{name}_td.dat", f"{name}_bbox.npy"}
        assert of_table == of_array


def test_boxes_left_out_are_in_the_account(tmp_path: Path) -> None:
    raw = with_tables(tmp_path / "raw", "car", "van", "tree", "1")
    cfg = settings(class_names={"van": "person", "tree": None})
    rows = preprocess_dataset(raw, tmp_path / "out", cfg)["train"]
    assert [(row.raw_boxes, row.boxes, row.dropped[OTHER_CLASS]) for row in rows] == [(20, 14, 5)] * 2  # one is early
    assert cfg.settings()["class_names"] == {"van": "person", "tree": None}
    assert "class_names" not in settings().settings()
    labels = np.load(tmp_path / "out" / "train" / "s0" / "labels_v2" / "labels.npz")["labels"]
    assert set(labels["class_id"].tolist()) == {0, 1}


def test_unknown_names_of_all_tables_are_told_at_once(tmp_path: Path) -> None:
    raw = with_tables(tmp_path / "raw", "car", "van", "tree", "1")
    with pytest.raises(UserError, match=r"tree \(10 boxes\), van \(10 boxes\)"):
        preprocess_dataset(raw, tmp_path / "out", settings())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [5, {"car": 5}, {"car": "truck"}])
def test_names_are_mapped_to_names_of_the_dataset(names: Any) -> None:
    with pytest.raises(UserError, match="class_names"):
        settings(class_names=names)
