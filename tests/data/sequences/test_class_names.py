"""A preprocessed dataset keeps the names of its classes, and those who show it read them."""

from __future__ import annotations

import json
from pathlib import Path

from data.inspection.config import Expectation, complete
from data.inspection.verify import verify_dataset
from data.preprocessing.dataset import preprocess_dataset
from data.sequences.class_names import class_names, classes_of_sequences
from tests.helpers.recordings.raw_recordings import config, make_raw

NAMES = ("car", "pedestrian")


def test_names_are_kept_and_read(tmp_path: Path) -> None:
    raw, out = make_raw(tmp_path / "raw", splits=("train",), per_split=1), tmp_path / "out"
    preprocess_dataset(raw, out, config(classes=NAMES))
    (sequence,) = (out / "train").iterdir()
    assert class_names(out) == classes_of_sequences(tmp_path, sequence) == NAMES
    assert complete(Expectation(out, splits=("train",))).classes == NAMES
    verify_dataset(out, config(classes=NAMES))

    (out / "manifest.json").write_text(json.dumps({"settings": {"classes": ["a", "b"]}, "complete": True}))
    assert class_names(out) == ("a", "b")  # the manifest of pseudo labels
    for text in ("{}", '{"classes": 3}', "no JSON"):
        (out / "manifest.json").write_text(text)
        assert class_names(out) == ()
