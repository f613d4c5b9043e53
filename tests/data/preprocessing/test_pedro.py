"""PEDRo samples as short sequences."""

from __future__ import annotations

import numpy as np
import pytest

from data.importers.pedro import LABEL_TIME_US, import_samples, read_yolo_boxes
from data.preprocessing.config import PreprocessConfig, RepresentationConfig
from data.sequences.layout import FrameReader, SequencePaths, list_sequences, read_labels
from utils.errors import UserError

HW = (52, 70)
REPR = "stacked_histogram_dt=40_nbins=2"
START = 1_672_932_172_785_744


def config(**more) -> PreprocessConfig:
    return PreprocessConfig(HW, representation=RepresentationConfig(bins=2, count_cutoff=255, dt_ms=40), **more)


def make_source(root, splits=("train", "test"), text="0 0.5 0.5 0.2 0.5\n0 0.9 0.9 0.2 0.3\n"):
    rng = np.random.default_rng(0)
    for split in splits:
        for kind in ("numpy", "yolo"):
            (root / kind / split).mkdir(parents=True)
        for index in range(2):
            n = 400
            t = START + np.concatenate([[0], np.sort(rng.integers(0, 40_001, n - 2)), [40_000]])
            sample = np.stack([t, rng.integers(0, HW[1], n), rng.integers(0, HW[0], n), rng.integers(0, 2, n)], axis=1)
            np.save(root / "numpy" / split / f"frame{index}.npy", sample)
            (root / "yolo" / split / f"frame{index}.txt").write_text(text)
    return root


def test_the_last_frame_is_the_sample_and_carries_its_boxes(tmp_path):
    raw = make_source(tmp_path / "raw")
    report = import_samples(raw, tmp_path / "out", config(), num_windows=5)
    assert {split: len(rows) for split, rows in report.items()} == {"test": 2, "train": 2}
    paths = SequencePaths(tmp_path / "out" / "train" / "frame1", REPR)
    frames, labels = FrameReader(paths.h5).read(0, 5), read_labels(paths)
    sample = np.load(raw / "numpy" / "train" / "frame1.npy")
    image = np.zeros(HW, dtype=np.int64)
    np.add.at(image, (sample[:, 2], sample[:, 1]), 1)
    np.testing.assert_array_equal(frames[-1].sum(axis=0), image)
    for index, frame in enumerate(frames):  # frames fill up
        assert frame.sum() == (sample[:, 0] <= START + 8000 * (index + 1)).sum()
    assert np.load(paths.frame_timestamps).tolist() == [968_000, 976_000, 984_000, 992_000, 1_000_000]
    assert labels.objframe_idx_2_repr_idx.tolist() == [4]
    assert labels.boxes["t"].tolist() == [LABEL_TIME_US] * 2
    first, second = ([float(box[name]) for name in "xywh"] for box in labels.frame(0))
    assert first == pytest.approx([28, 13, 14, 26])
    assert second == pytest.approx([56, 39, 13, 12])  # cropped to the frame


def test_disjoint_windows_cut_the_sample(tmp_path):
    cfg = PreprocessConfig(HW, representation=RepresentationConfig(bins=2, count_cutoff=255, dt_ms=8))
    import_samples(make_source(tmp_path / "raw"), tmp_path / "out", cfg, num_windows=5)
    paths = SequencePaths(tmp_path / "out" / "train" / "frame0", "stacked_histogram_dt=8_nbins=2")
    counts = FrameReader(paths.h5).read(0, 5).reshape(5, -1).sum(axis=1)
    assert counts.max() < 200
    assert 400 <= counts.sum() <= 410  # an event on a border belongs to both windows


def test_missing_splits_are_links_and_the_call_can_be_repeated(tmp_path):
    raw = make_source(tmp_path / "raw")
    for _ in range(2):
        import_samples(raw, tmp_path / "out", config(), num_windows=3)
    assert (tmp_path / "out" / "val").readlink().name == "test"
    assert [path.name for path in list_sequences(tmp_path / "out" / "val")] == ["frame0", "frame1"]
    with pytest.raises(UserError, match="num_windows: 4 instead of 3"):
        import_samples(raw, tmp_path / "out", config(), num_windows=4)


def test_pooled_samples_are_all_in_train(tmp_path):
    import_samples(make_source(tmp_path / "raw"), tmp_path / "out", config(), num_windows=1, pool=True)
    names = ["test_frame0", "test_frame1", "train_frame0", "train_frame1"]
    for split in ("train", "val", "test"):
        assert [path.name for path in list_sequences(tmp_path / "out" / split)] == names


def test_samples_without_boxes_are_left_out(tmp_path):
    raw = make_source(tmp_path / "raw", splits=("train",))
    (raw / "yolo" / "train" / "frame0.txt").write_text("\n")
    rows = import_samples(raw, tmp_path / "out", config(), num_windows=2)["train"]
    assert [row.skipped is None for row in rows] == [False, True]


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.2", "person 0.5 0.5 0.2 0.2", "0 0.5 0.5 0 0.2", "0 50 50 20 20", "0 nan 0 1 1"]
)
def test_a_line_that_is_no_box_is_a_user_error(tmp_path, line):
    path = tmp_path / "a.txt"
    path.write_text(f"0 0.5 0.5 0.2 0.2\n\n{line}\n")
    with pytest.raises(UserError, match="line 3"):
        read_yolo_boxes(path, HW, 0)


def test_faults_of_a_source_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="numpy/<split>"):
        import_samples(tmp_path, tmp_path / "out", config(), num_windows=2)
    raw = make_source(tmp_path / "raw", splits=("train",))
    with pytest.raises(UserError, match="num_windows"):
        import_samples(raw, tmp_path / "out", config(), num_windows=0)
    (raw / "yolo" / "train" / "frame0.txt").unlink()
    with pytest.raises(UserError, match=r"frame0\.txt"):
        import_samples(raw, tmp_path / "out", config(), num_windows=2)
