"""Reading and writing sequences of the dataset layout."""

from __future__ import annotations

import multiprocessing
import pickle

import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest

import data.payloads.frame_reader as frame_reader_module
from data.sequences.layout import (
    FrameReader,
    SequencePaths,
    SequenceWriter,
    StoredLabels,
    list_sequences,
    read_labels,
    write_label_sequence,
)
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError

REPR = "stacked_histogram_dt=50_nbins=1"


def make_labels(per_frame=(2, 0, 3), frames=(1, 3, 4)) -> StoredLabels:
    boxes = np.zeros(sum(per_frame), dtype=BBOX_DTYPE)
    boxes["t"] = np.repeat((np.array(frames) + 1) * 50_000, per_frame)
    boxes["x"] = np.arange(len(boxes))
    boxes["w"] = boxes["h"] = 5
    boxes["class_confidence"], boxes["objectness"] = 0.75, 0.5
    first = np.concatenate([[0], np.cumsum(per_frame)[:-1]]).astype(np.int64)
    times = (np.array(frames, dtype=np.int64) + 1) * 50_000
    return StoredLabels(boxes, first, np.array(frames, dtype=np.int64), times)


def write(root, labels=None, num_frames=6, dtype=np.uint8, downsampled=False):
    frames = np.random.default_rng(0).integers(0, 10, (num_frames, 2, 6, 8)).astype(dtype)
    with SequenceWriter(root, REPR, 2, 6, 8, dtype, downsampled) as writer:
        writer.append_frames(frames[:2])
        writer.append_frames(frames[2])
        writer.append_frames(frames[3:])
        writer.write_frame_timestamps(np.arange(1, num_frames + 1) * 50_000)
        writer.write_labels(labels or make_labels())
    return frames, SequencePaths(root, REPR, downsampled)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("downsampled", [False, True])
def test_what_is_written_is_read(tmp_path, dtype, downsampled):
    frames, paths = write(tmp_path / "train" / "a", dtype=dtype, downsampled=downsampled)
    paths.check()
    reader = FrameReader(paths.h5)
    assert (reader.shape, reader.dtype, len(reader)) == ((6, 2, 6, 8), dtype, 6)
    np.testing.assert_array_equal(reader.read(1, 5), frames[1:5])
    assert reader.read(3, 3).shape == (0, 2, 6, 8)
    labels, expected = read_labels(paths), make_labels()
    np.testing.assert_array_equal(labels.boxes, expected.boxes)
    assert labels.boxes.dtype.itemsize == 40
    assert [len(labels.frame(i)) for i in range(3)] == [2, 0, 3]
    assert labels.label_timestamps_us is not None
    assert labels.label_timestamps_us.tolist() == [100_000, 200_000, 250_000]
    assert ("ds2_nearest" in paths.h5.name) == downsampled


def test_file_is_as_rvt_writes_it(tmp_path):
    _, paths = write(tmp_path / "a")
    with h5py.File(paths.h5) as file:
        data = file["data"]
        assert data.chunks == (1, 2, 6, 8)
        assert "32001" in data._filters  # Blosc


def test_two_writings_have_the_same_bytes(tmp_path):
    _, left = write(tmp_path / "a")
    _, right = write(tmp_path / "b")
    for one in (p for p in left.root.rglob("*") if p.is_file()):
        assert one.read_bytes() == (right.root / one.relative_to(left.root)).read_bytes(), one.name


@pytest.mark.parametrize("fault", ["error", "no labels", "frame times", "labels behind the end"])
def test_an_unfinished_sequence_never_appears(tmp_path, fault):
    with (
        pytest.raises((RuntimeError, ValueError)),
        SequenceWriter(tmp_path / "train" / "a", REPR, 2, 6, 8) as writer,
    ):
        writer.append_frames(np.zeros((3, 2, 6, 8), dtype=np.uint8))
        if fault == "error":
            raise RuntimeError
        writer.write_frame_timestamps([1, 2] if fault == "frame times" else [1, 2, 3])
        if fault != "no labels":
            writer.write_labels(make_labels() if fault == "labels behind the end" else make_labels((1,), (2,)))
    assert list((tmp_path / "train").iterdir()) == []


def test_frames_of_another_shape_or_type_are_refused(tmp_path):
    for frames in (np.zeros((1, 2, 6, 9), dtype=np.uint8), np.zeros((1, 2, 6, 8), dtype=np.int8)):
        with pytest.raises(ValueError, match="frames are"), SequenceWriter(tmp_path / "a", REPR, 2, 6, 8) as writer:
            writer.append_frames(frames)


def test_an_existing_sequence_is_not_overwritten(tmp_path):
    write(tmp_path / "a")
    with pytest.raises(UserError, match="does not exist yet"):
        write(tmp_path / "a")


def rewrite_npz(paths, dtype, rename=None):
    labels = read_labels(paths)
    boxes = np.zeros(len(labels.boxes), dtype=dtype)
    for name in boxes.dtype.names or ():
        if name in (labels.boxes.dtype.names or ()):
            boxes[name] = labels.boxes[name]
    arrays = {"labels": boxes, "objframe_idx_2_label_idx": labels.objframe_idx_2_label_idx}
    np.savez(paths.labels_npz, **{(rename or {}).get(key, key): value for key, value in arrays.items()})


FLOATS = [(name, "<f4") for name in ("x", "y", "w", "h")]


def test_labels_of_other_dialects_are_read_by_name(tmp_path):
    _, paths = write(tmp_path / "a")
    rewrite_npz(
        paths, [("class_confidence", "<f4"), ("class_id", "u1"), *FLOATS[::-1], ("track_id", "<u4"), ("t", "<i8")]
    )
    labels = read_labels(paths)
    np.testing.assert_array_equal(labels.boxes["x"], np.arange(5))
    np.testing.assert_array_equal(labels.boxes["objectness"], np.full(5, 0.75, dtype=np.float32))  # := class confidence


def test_label_files_with_faults_are_user_errors(tmp_path):
    _, paths = write(tmp_path / "a")
    rewrite_npz(paths, FLOATS)
    with pytest.raises(UserError, match="class_id"):
        read_labels(paths)
    rewrite_npz(write(tmp_path / "b")[1], BBOX_DTYPE, {"objframe_idx_2_label_idx": "index"})
    with pytest.raises(UserError, match="objframe_idx_2_label_idx"):
        read_labels(SequencePaths(tmp_path / "b", REPR))
    _, paths = write(tmp_path / "c")
    np.save(paths.objframe_idx_2_repr_idx, np.array([1, 3]))
    with pytest.raises(UserError, match="3 entries of first boxes for 2"):
        read_labels(paths)
    np.save(paths.objframe_idx_2_repr_idx, np.array([1, 3, 3]))
    with pytest.raises(UserError, match="do not ascend"):
        read_labels(paths)
    paths.labels_npz.write_bytes(b"PK")
    with pytest.raises(UserError, match="readable"):
        read_labels(paths)


def test_missing_files_are_named(tmp_path):
    _, paths = write(tmp_path / "a")
    paths.h5.unlink()
    with pytest.raises(UserError, match=r"event_representations\.h5"):
        paths.check()
    with pytest.raises(UserError, match="no such file"):
        FrameReader(paths.h5).read(0, 1)
    paths.h5.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="leads nowhere"):
        paths.check()
    with pytest.raises(UserError, match="train, val and test"):
        list_sequences(tmp_path / "none")


def test_damaged_frames_are_user_errors(tmp_path):
    _, paths = write(tmp_path / "a", num_frames=64, labels=make_labels((1,), (1,)))
    reader = FrameReader(paths.h5)
    with pytest.raises(UserError, match="64 frames"):
        reader.read(60, 65)
    content = paths.h5.read_bytes()
    paths.h5.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged"):
        reader.read(0, 1)
    with h5py.File(paths.h5, "w") as file:
        file["other"] = np.zeros(3)
    with pytest.raises(UserError, match="other"):
        reader.read(0, 1)


def test_few_files_stay_open_and_a_replaced_file_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_reader_module, "MAX_OPEN_FILES", 2)
    monkeypatch.setattr(frame_reader_module, "_open_files", frame_reader_module._OpenFiles())
    readers = [FrameReader(write(tmp_path / name)[1].h5) for name in "abc"]
    for _ in range(2):
        for reader in readers:
            assert reader.read(0, 6).shape == (6, 2, 6, 8)
    assert len(frame_reader_module._open_files._files) == 2
    path = readers[0].path
    path.unlink()
    with h5py.File(path, "w") as file:
        file["data"] = np.full((1, 2, 6, 8), 7, dtype=np.uint8)
    assert readers[0].read(0, 1).max() == 7


def _read_in_child(reader, queue):
    queue.put(reader.read(0, 6))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="fork only")
def test_reading_after_a_fork(tmp_path):
    frames, paths = write(tmp_path / "a")
    reader = pickle.loads(pickle.dumps(FrameReader(paths.h5)))
    np.testing.assert_array_equal(reader.read(0, 6), frames)  # the parent holds the file open
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_read_in_child, args=(reader, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), frames)
    child.join()
    np.testing.assert_array_equal(reader.read(0, 6), frames)


def test_other_labels_for_the_same_frames(tmp_path):
    frames, source = write(tmp_path / "real" / "train" / "a")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    source = SequencePaths(tmp_path / "linked" / "train" / "a", REPR)
    pseudo = make_labels((1, 2), (0, 5))
    pseudo.label_timestamps_us = None
    pseudo.boxes["t"] = 0
    write_label_sequence(tmp_path / "pseudo" / "train" / "a", source, pseudo)
    paths = SequencePaths(tmp_path / "pseudo" / "train" / "a", REPR)
    paths.check()
    (tmp_path / "linked").unlink()  # links lead to the real files, not to links
    np.testing.assert_array_equal(FrameReader(paths.h5).read(0, 6), frames)
    assert np.load(paths.frame_timestamps).tolist() == [50_000, 100_000, 150_000, 200_000, 250_000, 300_000]
    labels = read_labels(paths)
    assert labels.objframe_idx_2_repr_idx.tolist() == [0, 5]
    assert labels.label_timestamps_us is not None
    assert labels.label_timestamps_us.tolist() == [50_000, 300_000]
    with pytest.raises(UserError, match="does not exist yet"):
        write_label_sequence(tmp_path / "pseudo" / "train" / "a", source, pseudo)


def test_sequences_are_sorted_links_followed_and_leftovers_hidden(tmp_path):
    for name in ("b", "a", ".c.tmp-1"):
        (tmp_path / "split" / name).mkdir(parents=True)
    (tmp_path / "split" / "readme.txt").touch()
    (tmp_path / "split" / "0").symlink_to(tmp_path / "split" / "b")
    (tmp_path / "link").symlink_to(tmp_path / "split")
    assert [path.name for path in list_sequences(tmp_path / "link")] == ["0", "a", "b"]
