"""What batches hold: frames, labels, flags, padding; short, unlabelled and partly labelled recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import make_dataset, make_sequence, small_config
from utils.errors import UserError


def frame_numbers(batch: Any, lane: int) -> list[int]:
    return batch["inputs"].data[:, lane, 0, 0, 0].tolist()


def test_frames_and_labels_of_a_short_last_chunk(dataset: Path) -> None:
    loader = DataModule(small_config(dataset, batch_size_eval=1)).val_dataloader()[0]
    batches = [b for b in loader if Path(b["path"][0]).name == "c"]
    assert [frame_numbers(b, 0) for b in batches] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 0, 0, 0]]
    assert [b["ev_idx"][:, 0].tolist() for b in batches][-1] == [8, -1, -1, -1]
    assert batches[-1]["is_padded"][:, 0].tolist() == [False, True, True, True]
    assert [b["labels"].labelled_indices().tolist() for b in batches] == [[1], [], [0]]
    assert [b["is_first"].item() for b in batches] == [True, False, False]
    assert [b["is_last"].item() for b in batches] == [False, False, True]


def test_reversed_lane(dataset: Path) -> None:
    loader = DataModule(small_config(dataset, batch_size_eval=1)).predict_dataloader(reverse=True)
    batches = [b for b in loader if Path(b["path"][0]).name == "c"]
    assert [frame_numbers(b, 0) for b in batches] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0, 0, 0]]
    # Position p shows frame 8 - p and takes the label of the frame before: label 1 shows with frame 2.
    assert [b["labels"].labelled_indices().tolist() for b in batches] == [[], [2], []]
    assert all(b["is_reversed"].item() for b in batches)


def test_fewer_sequences_than_lanes(dataset: Path) -> None:
    batches = list(DataModule(small_config(dataset, batch_size_eval=7)).test_dataloader()[0])
    assert {Path(p).name for p in batches[0]["path"]} == {"a", "b", "c", "d", ""}
    empty = [lane for lane, path in enumerate(batches[0]["path"]) if not path]
    assert batches[0]["is_padded"][:, empty].all()
    assert not batches[0]["inputs"].data[:, empty].any()
    assert not batches[0]["is_first"][empty].any()


def test_recordings_shorter_than_a_sample(tmp_path: Path) -> None:
    """Streaming needs no frames before a label; random access says why it cannot work."""
    root = make_dataset(tmp_path, a=(3, [1]), b=(2, [0, 1]))
    batches = list(DataModule(small_config(root, train_sampling="stream")).train_dataloader())
    assert len(batches) == 2
    assert sum(len(b["labels"].labelled_indices()) for b in batches) == 2 * 3
    for sampling in ("random", "mixed"):
        with pytest.raises(UserError, match="sampling=stream"):
            DataModule(small_config(root, train_sampling=sampling)).train_dataloader()


def test_samples_of_exactly_the_sequence_length(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, **{f"s{i}": (4, [3]) for i in range(6)})
    for sampling, expected in (("random", 3), ("stream", 6), ("mixed", 6)):
        batches = list(DataModule(small_config(root, train_sampling=sampling)).train_dataloader())
        assert len(batches) == expected
        assert all(frame_numbers(b, lane) == [1, 2, 3, 4] for b in batches for lane in range(2))
    assert len(list(DataModule(small_config(root)).predict_dataloader())) == 3


def test_unlabelled_data(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, a=(8, []), b=(6, []))
    with pytest.raises(UserError, match="labelled frames"):
        DataModule(small_config(root, train_sampling="stream")).train_plan()
    batches = list(DataModule(small_config(root)).predict_dataloader())
    assert sum(int((~b["is_padded"]).sum()) for b in batches) == 14


def test_semi_supervision_hides_whole_sequences(dataset: Path) -> None:
    module = DataModule(small_config(dataset, train_ratio=0.5, train_sampling="mixed"))
    plan = module.train_plan()
    trained = {lane.sequence for k in range(len(plan)) for lane in plan.batch(0, k).lanes}
    assert trained == {0, 2}
    seen: dict[str, list[int]] = {}
    for batch in module.predict_dataloader():
        for lane, path in enumerate(batch["path"]):
            counts = seen.setdefault(Path(path).name, [0, 0])
            counts[0] += int(batch["labels"].labelled[:, lane].sum())
            counts[1] += int(batch["skipped_labels"].labelled[:, lane].sum())
    assert [seen[name] for name in "abcd"] == [[10, 0], [0, 3], [2, 0], [0, 1]]
    names = {Path(p).name for b in module.labelling_dataloader(False, ("a", "b")) for p in b["path"]}
    assert names - {""} == {"c", "d"}


def test_halved_labels_and_pseudo_labels(tmp_path: Path) -> None:
    make_sequence(tmp_path / "train" / "a", 9, list(range(9)), (8, 10), pseudo=True, downsampled=True)
    module = DataModule(
        small_config(tmp_path, downsample_by_factor_2=True, train_sampling="stream", use_label_every=2)
    )  # fmt: skip
    batch = next(iter(module.train_dataloader()))
    assert batch["inputs"].data.shape == (4, 2, 4, 8, 10)
    assert {i // 2 for i in batch["labels"].labelled_indices().tolist()} == {1, 3}
    assert batch["labels"].rows[0, 1:5].tolist() == [1.0, 1.5, 3.0, 2.5]


def test_only_labels_and_only_end_labels(dataset: Path) -> None:
    batch = next(iter(DataModule(small_config(dataset), with_frames=False).predict_dataloader()))
    assert batch["inputs"].data.shape == (4, 2, 0, 0, 0)
    module = DataModule(small_config(dataset, only_load_end_labels=True, train_sampling="random"))
    for batch in module.train_dataloader():
        assert batch["labels"].labelled_indices().tolist() == [6, 7]
