"""Damaged datasets: scripts/inspect_dataset.py finds and names each damage, and changes nothing."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.events.bbox import write_bbox_npy
from data.inspection.config import Expectation
from data.inspection.dataset import inspect_dataset
from data.inspection.verify import verify_dataset
from data.preprocessing.config import RepresentationConfig
from data.preprocessing.dataset import preprocess_dataset
from data.sequences.layout import SequencePaths, read_labels
from data.sequences.sequence import EventSequence
from tests.helpers.bad_inputs import BadInput, check, command, content, time_limit
from tests.helpers.commands import run
from tests.helpers.recordings.raw_recordings import boxes_at, config, every_ms, make_raw
from tests.helpers.tiny_dataset import FRAMES, REPR_NAME, write_tiny_dataset
from utils.errors import UserError

Act = Callable[[Path], object]

SYNTHETIC = "dataset=synthetic"
"""Its sizes and classes are those of the tiny dataset."""


def files(root: Path, split: str = "train") -> SequencePaths:
    return SequencePaths(root / split / f"{split}_00", REPR_NAME, downsampled=True)


def inspected(damage: Callable[[Path], object], *arguments: str) -> Act:
    """A sound dataset, damaged, then looked at; the look leaves it as it is."""

    def act(folder: Path) -> None:
        root = write_tiny_dataset(folder / "in", train=1)
        damage(root)
        before = content(root)
        try:
            command("scripts/inspect_dataset.py", *(arguments or (SYNTHETIC,)), f"path={root}")
        finally:
            assert content(root) == before

    return act


def rewrite_h5(root: Path, data: Any, name: str = "data") -> None:
    with h5py.File(files(root).h5, "w") as file:
        file.create_dataset(name, data=data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def spoil_a_frame(root: Path) -> None:
    """Overwrite the compressed bytes of the first frame."""
    path = files(root).h5
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(0)
    with path.open("r+b") as handle:
        handle.seek(chunk.byte_offset)
        handle.write(b"\xff" * min(chunk.size, 64))


def change_labels(root: Path, split: str = "train", **arrays: Any) -> None:
    """Write labels.npz with some arrays replaced."""
    path = files(root, split).labels_npz
    with np.load(path) as archive:
        old = {name: archive[name] for name in archive.files}
    np.savez(path, **(old | arrays))


def change_boxes(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Damage that changes the structured array of boxes in place."""

    def damage(root: Path) -> None:
        with np.load(files(root).labels_npz) as archive:
            boxes = archive["labels"]
        change(boxes)
        change_labels(root, labels=boxes)

    return damage


def change_array(where: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Damage that changes one of the index or time arrays."""

    def damage(root: Path) -> None:
        path = getattr(files(root), where)
        np.save(path, change(np.load(path)))

    return damage


def set_field(name: str, value: float, index: int = 3) -> Callable[[Any], None]:
    def change(boxes: Any) -> None:
        boxes[name][index] = value

    return change


def repeat_a_box(boxes: Any) -> None:
    boxes[1] = boxes[0]


def no_labels(root: Path) -> None:
    empty = np.zeros(0, dtype=np.int64)
    with np.load(files(root, "val").labels_npz) as archive:
        boxes = archive["labels"][:0]
    change_labels(root, "val", labels=boxes, objframe_idx_2_label_idx=empty)
    np.save(files(root, "val").objframe_idx_2_repr_idx, empty)
    np.save(files(root, "val").label_timestamps, empty)


def no_events(root: Path) -> None:
    with h5py.File(files(root).h5, "r+") as file:
        data = file["data"]
        for index in range(len(data)):
            data[index] = 0


def dangling_link(root: Path) -> None:
    files(root).h5.unlink()
    files(root).h5.symlink_to("moved_away.h5")


def swap(array: Any) -> Any:
    array[[2, 3]] = array[[3, 2]]
    return array


def unsorted_boxes(root: Path) -> None:
    with np.load(files(root).labels_npz) as archive:
        change_labels(root, objframe_idx_2_label_idx=swap(archive["objframe_idx_2_label_idx"]))


def in_order_of_class(root: Path) -> None:
    with np.load(files(root).labels_npz) as archive:
        boxes = archive["labels"]
    change_labels(root, labels=boxes[np.argsort(boxes["class_id"], kind="stable")])


def half_a_window_late(root: Path) -> None:
    change_array("label_timestamps", lambda times: times + 25_000)(root)
    change_boxes(lambda boxes: np.add(boxes["t"], 25_000, out=boxes["t"]))(root)


def raw_recordings(folder: Path) -> None:
    (folder / "in" / "train").mkdir(parents=True)
    (folder / "in" / "train" / "drive_td.dat").write_bytes(b"% Version 2\n")
    command("scripts/inspect_dataset.py", f"path={folder / 'in'}")


def other_folder(folder: Path) -> None:
    (folder / "in" / "train" / "holiday").mkdir(parents=True)
    (folder / "in" / "train" / "holiday" / "beach.jpg").write_bytes(b"\xff\xd8")
    command("scripts/inspect_dataset.py", f"path={folder / 'in'}")


def one_sequence(folder: Path) -> None:
    root = write_tiny_dataset(folder / "in", train=1, val=0, test=0)
    command("scripts/inspect_dataset.py", f"path={files(root).root}")


def case(name: str, act: Act, *expect: str) -> BadInput:
    return BadInput("datasets", name, act, expect)


CASES = [
    case("no such folder", lambda f: command("scripts/inspect_dataset.py", f"path={f / 'none'}"), "no such folder"),
    case("raw recordings instead of a dataset", raw_recordings, "raw recordings", "preprocess_dataset.py"),
    case("a folder of something else", other_folder, "event_representations_v2"),
    case("one sequence instead of a dataset", one_sequence, "one sequence", "train, val and test"),
    case("no test split", inspected(lambda r: shutil.rmtree(r / "test")), "missing splits (1)"),
    case("a split without a sequence", inspected(lambda r: shutil.rmtree(files(r, "val").root)), "without sequences"),
    case(
        "a sequence in train and in test",
        inspected(lambda r: shutil.copytree(files(r).root, r / "test" / "train_00")),
        "sequences in two splits",
    ),
    case("no file of frames", inspected(lambda r: files(r).h5.unlink()), "missing files"),
    case("a file of frames linked to nowhere", inspected(dangling_link), "missing files"),
    case("frames cut in the middle", inspected(lambda r: cut(files(r).h5)), "frames that cannot be read"),
    case("frames that are no HDF5", inspected(lambda r: files(r).h5.write_text("no")), "frames that cannot be read"),
    case("HDF5 without data", inspected(lambda r: rewrite_h5(r, [1], "x")), "frames that cannot be read"),
    case("a frame with damaged bytes", inspected(spoil_a_frame), "frames that cannot be decoded"),
    case(
        "frames of another size",
        inspected(lambda r: rewrite_h5(r, np.zeros((FRAMES, 20, 64, 96), np.uint8))),
        "frames of another shape",
    ),
    case("frames of the wrong dataset", inspected(lambda _: None, "dataset=gen1"), "missing files"),
    case(
        "frames with other channels",
        inspected(lambda r: rewrite_h5(r, np.zeros((FRAMES, 10, 64, 80), np.uint8))),
        "frames of another shape",
    ),
    case(
        "frames of floats among integers",
        inspected(lambda r: rewrite_h5(r, np.zeros((FRAMES, 20, 64, 80), np.float32)), SYNTHETIC),
        "frames of another type",
    ),
    case("no labels.npz", inspected(lambda r: files(r).labels_npz.unlink()), "missing files"),
    case("labels.npz cut in the middle", inspected(lambda r: cut(files(r).labels_npz)), "labels that cannot be read"),
    case(
        "labels without a class",
        inspected(lambda r: change_labels(r, labels=np.zeros(48, dtype=[("t", "<i8"), ("x", "<f4")]))),
        "labels that cannot be read",
    ),
    case(
        "labels that need pickle",
        inspected(lambda r: change_labels(r, labels=np.array([{"x": 1}], dtype=object))),
        "labels that cannot be read",
    ),
    case("box indices out of order", inspected(unsorted_boxes), "labels that contradict each other"),
    case(
        "an index that counts frames instead of boxes",
        inspected(lambda r: change_labels(r, objframe_idx_2_label_idx=np.arange(FRAMES))),
        "labels that contradict each other",
        "box 1 at 100000 µs in labelled frame 1, by timestamps_us.npy at 150000 µs",
        "counts frames",
    ),
    case(
        "boxes in the order of their tracks",
        inspected(in_order_of_class),
        "box 1 at 150000 µs in labelled frame 0, by timestamps_us.npy at 100000 µs",
    ),
    case(
        "the same without label times",
        inspected(lambda r: (in_order_of_class(r), files(r).label_timestamps.unlink())),
        "box 1 at 150000 µs in labelled frame 0, by its first box at 100000 µs",
    ),
    case(
        "boxes on another clock than their frames",
        inspected(change_boxes(lambda b: np.add(b["t"], 10**9, out=b["t"]))),
        "box 0 at 1000100000 µs in labelled frame 0, by timestamps_us.npy at 100000 µs",
    ),
    case(
        "frame indices out of order",
        inspected(change_array("objframe_idx_2_repr_idx", swap)),
        "labels that contradict each other",
    ),
    case(
        "an index too few",
        inspected(change_array("objframe_idx_2_repr_idx", lambda a: a[:-1])),
        "labels that contradict each other",
    ),
    case(
        "labels beyond the last frame",
        inspected(change_array("objframe_idx_2_repr_idx", lambda a: a + 3)),
        "labels beyond the end of the sequence",
    ),
    case(
        "labels half a window beside their frames",
        inspected(half_a_window_late),
        "labels at other times than their frames",
    ),
    case("frame times that step back", inspected(change_array("frame_timestamps", swap)), "do not ascend"),
    case(
        "a frame time too few",
        inspected(change_array("frame_timestamps", lambda a: a[1:])),
        "other numbers of times than frames",
    ),
    case(
        "frame times that are no numbers of µs",
        inspected(change_array("frame_timestamps", lambda a: a / 1e6)),
        "times that cannot be read",
    ),
    case("a box that is NaN", inspected(change_boxes(set_field("x", np.nan))), "boxes that are not numbers"),
    case("a box of infinite width", inspected(change_boxes(set_field("w", np.inf))), "boxes that are not numbers"),
    case("a box of no height", inspected(change_boxes(set_field("h", 0))), "boxes without an area"),
    case("a box outside the frame", inspected(change_boxes(set_field("x", 500))), "outside the frame of 160 x 128"),
    case("an unknown class id", inspected(change_boxes(set_field("class_id", 7))), "beyond the 2 classes"),
    case("a confidence of 2", inspected(change_boxes(set_field("class_confidence", 2))), "scores outside 0 to 1"),
    case("the same box twice", inspected(change_boxes(repeat_a_box)), "there twice"),
    case("labels on frames without an event", inspected(no_events), "labelled frames without an event (1)"),
    case("a val sequence without labels", inspected(no_labels), "sequences without labels in val"),
]


@pytest.mark.parametrize("bad", CASES, ids=str)
def test_bad_dataset(bad: BadInput, tmp_path: Path) -> None:
    check(bad, tmp_path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("sound"), train=1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    which=st.integers(0, 4),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=40),
    how=st.sampled_from(["cut", "overwrite", "insert", "append"]),
)
def test_any_damage_to_any_file_is_a_finding_or_harmless(
    sound: Path, which: int, place: float, junk: bytes, how: str
) -> None:
    """Whatever bytes are in a file, looking at it ends with a report; whoever loads it gets a UserError or data."""
    file = sorted(path for path in files(sound).root.rglob("*") if path.is_file())[which]
    whole = file.read_bytes()
    at = int(place * len(whole))
    rest = {"cut": b"", "overwrite": junk + whole[at + len(junk) :], "insert": junk + whole[at:]}
    try:
        file.write_bytes(whole + junk if how == "append" else whole[:at] + rest[how])
        with time_limit(20):
            inspect_dataset(Expectation(sound, frames_read=None))
            with contextlib.suppress(UserError):
                EventSequence(files(sound), (128, 160)).reader.read(0, FRAMES)
    finally:
        file.write_bytes(whole)


def test_a_sound_dataset_is_found_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_tiny_dataset(tmp_path, train=2)
    assert run("scripts/inspect_dataset.py", f"path={root}", f"save_picture={tmp_path / 'look.html'}") == 0
    text = capsys.readouterr().out
    assert "nothing is wrong" in text
    assert f"{2 * 2 * FRAMES}" in text
    page = (tmp_path / "look.html").read_text()
    assert "data:image/png;base64," in page
    assert "nothing is wrong" in page


def test_many_sequences_with_the_same_damage_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_tiny_dataset(tmp_path, train=7)
    for sequence in (root / "train").iterdir():
        SequencePaths(sequence, REPR_NAME).frame_timestamps.unlink()
    assert run("scripts/inspect_dataset.py", SYNTHETIC, f"path={root}") == 2
    text = capsys.readouterr().out
    assert "wrong: missing files (7)" in text
    assert "... and 2 more" in text


def test_boxes_that_preprocessing_dropped_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = make_raw(tmp_path / "raw", splits=("train", "val", "test")), tmp_path / "out"
    late = boxes_at(np.arange(16, 36) * 50_000)
    write_bbox_npy(raw / "val" / "s0_bbox.npy", late)
    write_bbox_npy(raw / "test" / "s1_bbox.npy", boxes_at(every_ms(50, stop=100)))  # 2, both before 150 ms
    cfg = config(label_times="nearest", align_t_ms=150)
    preprocess_dataset(raw, out, cfg)
    picture = tmp_path / "look.html"
    figures = tmp_path / "look.json"
    status = run("scripts/inspect_dataset.py", f"path={out}", f"save_picture={picture}", f"save_json={figures}")
    text = capsys.readouterr().out
    assert status == 2
    assert "nothing is wrong" not in text + picture.read_text()
    assert "wrong: boxes dropped in preprocessing (without being asked to) (1)" in text
    assert "val: 42.5 % of 40: 15 after the last event, 2 before align_t_ms" in text
    assert "worth knowing: boxes dropped in preprocessing (2)" in text
    assert "test: 18.2 % of 22: 4 before align_t_ms" in text  # those of a recording that was left out too
    assert json.loads(figures.read_text())["splits"]["val"]["raw_boxes"]["kept"] == 23
    shutil.rmtree(out / "val")
    (out / "val").symlink_to(out / "test")
    run("scripts/inspect_dataset.py", f"path={out}", f"save_picture={tmp_path / 'look.png'}")
    assert "nothing is wrong" not in capsys.readouterr().out


def test_a_record_without_an_account_still_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = make_raw(tmp_path / "raw", splits=("train", "val", "test"), per_split=1), tmp_path / "out"
    preprocess_dataset(raw, out, config(align_t_ms=0))
    for file in (*out.rglob("sequence.json"), out / "manifest.json"):
        value = json.loads(file.read_text())
        value.get("counts", {}).pop("dropped", None)
        value.get("counts", {}).pop("clock_us", None)
        for entry in value.get("splits", {}).values():
            entry.pop("left_out_boxes", None)
        file.write_text(json.dumps(value))
    assert run("scripts/inspect_dataset.py", f"path={out}") in (0, 2)
    assert "boxes read" in capsys.readouterr().out
    assert preprocess_dataset(raw, out, config(align_t_ms=0))["val"][0].clock_us == 0


@pytest.mark.parametrize("spoil", [lambda r: change_labels(r, objframe_idx_2_label_idx=np.arange(FRAMES)), no_events])
def test_verify_and_the_reader_refuse_them_too(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    root = write_tiny_dataset(tmp_path, train=1)
    cfg = config(sensor_hw=(128, 160), representation=RepresentationConfig(), downsample_by_factor_2=True)
    spoil(root)
    with pytest.raises(UserError, match="counts frames" if spoil is not no_events else "labelled frames without"):
        verify_dataset(root, cfg)
    if spoil is not no_events:
        with pytest.raises(UserError, match="box 1 at 100000 µs in labelled frame 1"):
            read_labels(files(root))


@pytest.mark.parametrize("value", [np.nan, 0, -3])
def test_boxes_without_numbers_or_size_are_left_out_and_told(
    tmp_path: Path, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_tiny_dataset(tmp_path, train=1)
    whole = EventSequence(files(root), (128, 160))
    change_boxes(set_field("w", value, 4))(root)
    found = EventSequence(files(root), (128, 160))
    assert "1 of 48 boxes without, the first is box 4: left out" in caplog.text
    assert np.diff(found.first_row).tolist() == [2, 2, 1, *[2] * (FRAMES - 3)]
    kept = np.delete(np.arange(48), 4)
    np.testing.assert_array_equal(found.rows.numpy(), whole.rows.numpy()[kept])
    change_boxes(lambda boxes: boxes["w"].fill(value))(root)
    with pytest.raises(UserError, match="48 of 48 boxes without"):
        EventSequence(files(root), (128, 160))
