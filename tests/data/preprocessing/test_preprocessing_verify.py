"""The manifest of a dataset, and what a check against it or of the bare structure finds."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.events.bbox import write_bbox_npy
from data.inspection.verify import verify_dataset
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.dataset import preprocess_dataset
from data.preprocessing.folder import exclusive
from data.preprocessing.manifest import MANIFEST, OLDER_SETTINGS
from data.sequences.layout import SequencePaths, read_labels
from data.sequences.record import RECORD_FILE, files_below
from tests.helpers.golden_files import golden_dataset
from tests.helpers.recordings.raw_recordings import boxes_at, config, content, events_of, every_ms, make_raw
from utils.errors import UserError

NAME = "stacked_histogram_dt=50_nbins=2"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    preprocess_dataset(raw, out, config())
    return out


@pytest.fixture
def dataset(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "dataset")


def test_the_manifest_says_what_is_there(whole, raw):
    manifest = json.loads((whole / MANIFEST).read_text())
    assert manifest["settings"] == config().settings()
    assert set(manifest["made_with"][0]) >= {"numpy", "h5py", "hdf5plugin"}
    train = manifest["splits"]["train"]
    assert train["totals"] == {
        "sequences": 2, "events": 8000, "frames": 38, "labelled_frames": 38, "boxes": 38, "raw_boxes": 40,
    }  # fmt: skip
    assert train["sequences"]["s0"]["counts"]["dropped"]["before align_t_ms"] == 1
    assert train["sequences"]["s0"]["source"] == "s0_td.dat"
    listed = {
        f"{split}/{name}/{file}": facts
        for split, entry in manifest["splits"].items()
        for name, sequence in entry["sequences"].items()
        for file, facts in sequence["files"].items()
    }
    assert set(listed) == set(files_below(whole)) - {MANIFEST}
    for name, facts in listed.items():
        data = (whole / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert verify_dataset(whole, config()) == {"train": 2, "val": 2}


def test_splits_one_after_the_other_give_the_bytes_of_one_run(raw, whole, tmp_path):
    for split in ("val", "train"):
        preprocess_dataset(raw, tmp_path / "out", config(), splits=[split])
    assert content(tmp_path / "out") == content(whole)


def test_what_is_left_out_is_in_the_manifest(tmp_path):
    raw = make_raw(tmp_path / "raw", splits=("train",))
    write_bbox_npy(raw / "train" / "s0_bbox.npy", boxes_at([]))
    preprocess_dataset(raw, tmp_path / "out", config())
    entry = json.loads((tmp_path / "out" / MANIFEST).read_text())["splits"]["train"]
    assert entry["left_out"] == {"s0": "no label is left after filtering"}
    assert entry["left_out_boxes"]["s0"]["raw_boxes"] == 0
    assert verify_dataset(tmp_path / "out", config()) == {"train": 1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_in_any_file_is_found(whole, data):
    name = data.draw(st.sampled_from(files_below(whole)))
    before = (whole / name).read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    flipped = bytearray(before)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    (whole / name).write_bytes(flipped)
    try:
        with pytest.raises(UserError) as caught:
            verify_dataset(whole, config())
        assert name in str(caught.value)
    finally:
        (whole / name).write_bytes(before)


def test_missing_extra_and_shortened_files_are_found_by_name(dataset):
    labels = SequencePaths(dataset / "train" / "s1", NAME).labels_npz
    labels.unlink()
    h5 = SequencePaths(dataset / "val" / "s0", NAME).h5
    h5.write_bytes(h5.read_bytes()[:-1])
    (dataset / "val" / "s0" / "notes.txt").write_text("mine")
    (dataset / "val" / ".s9.tmp-1").mkdir()
    (dataset / "val" / ".s9.tmp-1" / "half").touch()
    with pytest.raises(UserError) as caught:
        verify_dataset(dataset, config())
    got = caught.value.got
    assert got.startswith("4 problems")
    assert "train/s1/labels_v2/labels.npz: missing" in got
    assert "val/s0/notes.txt: not in the manifest" in got
    assert ".s9.tmp-1/half: not in the manifest" in got
    size = h5.stat().st_size
    assert f"{h5.relative_to(dataset)}: {size} bytes instead of {size + 1}" in got


def test_a_changed_setting_is_found_on_either_side(dataset):
    with pytest.raises(UserError, match=r"setting min_side: 7 instead of 5\.0"):
        verify_dataset(dataset, config(min_side=7))
    text = (dataset / MANIFEST).read_text()
    (dataset / MANIFEST).write_text(text.replace('"min_side": 5.0', '"min_side": 7'))
    with pytest.raises(UserError, match="changed since it was written"):
        verify_dataset(dataset, config(min_side=7))


def test_a_removed_sequence_is_made_again_with_the_same_bytes(dataset, whole, raw):
    shutil.rmtree(dataset / "val" / "s1")
    with pytest.raises(UserError, match=r"val/s1/.*: missing"):
        verify_dataset(dataset, config())
    preprocess_dataset(raw, dataset, config())
    assert content(dataset) == content(whole)


def test_one_bad_recording_does_not_hold_up_the_others(tmp_path, whole):
    raw = make_raw(tmp_path / "raw")
    bad, out = raw / "train" / "s0_td.dat", tmp_path / "out"
    data = bad.read_bytes()
    bad.write_bytes(data[:-5])
    with pytest.raises(UserError) as caught:
        preprocess_dataset(raw, out, config())
    assert "s0_td.dat" in caught.value.where
    assert "finished sequences are kept (3)" in caught.value.fix
    assert not (out / "train" / "s0").exists()
    with pytest.raises(UserError, match=r"train/s0: was not made: .*cut off"):
        verify_dataset(out, config())
    bad.write_bytes(data)
    preprocess_dataset(raw, out, config())
    assert content(out) == content(whole)


def test_a_folder_of_an_older_version_gets_a_manifest(dataset, raw):
    """Earlier there was a file of settings and nothing in the sequences."""
    manifest = json.loads((dataset / MANIFEST).read_text())
    (dataset / OLDER_SETTINGS).write_text(json.dumps(manifest["settings"]))
    (dataset / MANIFEST).unlink()
    for record in dataset.rglob(RECORD_FILE):
        record.unlink()
    assert verify_dataset(dataset, config()) == {"train": 2, "val": 2}
    with pytest.raises(UserError, match="align_t_ms: 0 instead of 100"):
        preprocess_dataset(raw, dataset, config(align_t_ms=0))
    preprocess_dataset(raw, dataset, config())
    assert not (dataset / OLDER_SETTINGS).exists()
    assert json.loads((dataset / MANIFEST).read_text())["splits"]["val"]["totals"]["events"] == 8000
    assert verify_dataset(dataset, config()) == {"train": 2, "val": 2}


def test_published_folders_are_checked_by_their_structure():
    cfg = PreprocessConfig((240, 304), num_raw_classes=2)
    assert verify_dataset(golden_dataset(), cfg) == {"train": 4, "val": 5, "test": 3}


def test_frames_of_another_size_are_found_without_a_manifest(dataset):
    (dataset / MANIFEST).unlink()
    with pytest.raises(UserError, match="frames of another shape"):
        verify_dataset(dataset, PreprocessConfig((99, 99), representation=config().representation))


def rewrite(path, change):
    array = np.load(path)
    np.save(path, change(array))


def rewrite_labels(paths, **changes):
    with np.load(paths.labels_npz) as archive:
        boxes, first = archive["labels"], archive["objframe_idx_2_label_idx"]
    for name, value in changes.items():
        boxes[name][3] = value
    np.savez(paths.labels_npz, labels=boxes, objframe_idx_2_label_idx=first)


def damage_h5(paths):
    data = bytearray(paths.h5.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xa5" * 400
    paths.h5.write_bytes(data)


FAULTS = {  # the checks themselves are tested with data/inspection
    "missing files": lambda paths: paths.labels_npz.unlink(),
    "files of frames that cannot be read": lambda paths: paths.h5.write_bytes(paths.h5.read_bytes()[:700]),
    "frames that cannot be decoded": damage_h5,
    "class ids beyond the 2 classes": lambda paths: rewrite_labels(paths, class_id=9),
    "18 for 19 frames": lambda paths: rewrite(paths.frame_timestamps, lambda t: t[:-1]),
}


@pytest.mark.parametrize("says", FAULTS)
def test_faults_of_the_structure_are_found(dataset, says):
    (dataset / MANIFEST).unlink()
    FAULTS[says](SequencePaths(dataset / "val" / "s1", NAME))
    with pytest.raises(UserError) as caught:
        verify_dataset(dataset, config())
    assert "val/s1: " in caught.value.got
    assert says in caught.value.got
    assert "s0" not in caught.value.got


def test_there_must_be_something_to_check(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        verify_dataset(tmp_path / "none", config())
    with pytest.raises(UserError, match="sequences in train, val or test"):
        verify_dataset(tmp_path, config())
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(UserError, match="manifest of a preprocessed dataset"):
        verify_dataset(tmp_path, config())


def test_a_second_run_in_the_folder_is_refused(raw, tmp_path):
    with exclusive(tmp_path / "out"), pytest.raises(UserError, match="no other run"):
        preprocess_dataset(raw, tmp_path / "out", config())
    assert not (tmp_path / "out").exists()


def test_labels_that_can_be_used_are_put_right(tmp_path, caplog):
    """Out of order, a doublet within 2 ms, other classes, the end beyond the recording: used as far as they go."""
    raw = make_raw(tmp_path / "raw", splits=("val",), per_split=1)
    times = np.concatenate([every_ms(50, stop=1500), [150_900]])
    boxes = boxes_at(times)[::-1].copy()
    boxes["class_id"][2] = 6
    write_bbox_npy(raw / "val" / "s0_bbox.npy", boxes)
    (row,) = preprocess_dataset(raw, tmp_path / "out", config())["val"]
    labels = read_labels(SequencePaths(tmp_path / "out" / "val" / "s0", NAME))
    assert (np.diff(labels.label_timestamps_us) >= 50_000).all()
    assert 150_900 not in labels.label_timestamps_us
    dropped = {reason: count for reason, count in row.dropped.items() if count}
    assert dropped == {"other class": 1, "off the time grid": 1, "before align_t_ms": 1}  # the doublet, one at 50 ms
    assert "boxes out of order" in caplog.text
    assert "10 after the last event, of 31 labels" in caplog.text
    assert "val: 9.7 % of 31 boxes were dropped" in caplog.text
    assert len(events_of()) == row.events
