"""Bad recordings, boxes and folders that preprocessing meets: one message each, nothing half-written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from data.events.bbox import write_bbox_npy
from data.events.formats.dat import write_dat
from data.inspection.verify import verify_dataset
from data.preprocessing import folder as folder_module
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.dataset import preprocess_dataset
from data.sequences.writer import SequenceWriter
from tests.helpers.bad_inputs import BadInput, check, command
from tests.helpers.recordings.raw_recordings import HW, boxes_at, config, content, events_of, every_ms, make_raw

Change = Callable[[Path], object]


def raw_in(folder: Path) -> Path:
    return make_raw(folder / "in" / "raw", splits=("train",), per_split=1)


def preprocess(folder: Path, change: Change = lambda raw: None, **more: Any) -> None:
    """One recording with boxes, changed, in ``train``."""
    raw = raw_in(folder)
    change(raw)
    preprocess_dataset(raw, folder / "out", config(**more))


def with_boxes(change: Callable[[np.ndarray], np.ndarray | None], start: int = 0, **more: Any) -> Change:
    """Preprocess one recording whose boxes were changed, its events on a clock that begins at ``start``."""

    def act(folder: Path) -> None:
        def rewrite(raw: Path) -> None:
            boxes = boxes_at(every_ms(50))
            changed = change(boxes)
            write_bbox_npy(raw / "train" / "s0_bbox.npy", boxes if changed is None else changed)
            if start:
                write_dat(raw / "train" / "s0_td.dat", events_of(start=start), *HW)

        preprocess(folder, rewrite, **more)

    return act


def with_box_array(array: np.ndarray) -> Change:
    """Preprocess one recording with whatever array in its box file."""
    return lambda folder: preprocess(folder, lambda raw: np.save(raw / "train" / "s0_bbox.npy", array))


def put(name: str, value: Any) -> Callable[[np.ndarray], None]:
    def change(boxes: np.ndarray) -> None:
        boxes[name][7] = value

    return change


def with_dat(change: Callable[[Path, bytes], object]) -> Change:
    """Preprocess one recording whose file was changed."""

    def act(folder: Path) -> None:
        def rewrite(raw: Path) -> None:
            path = raw / "train" / "s0_td.dat"
            change(path, path.read_bytes())

        preprocess(folder, rewrite)

    return act


def shift(boxes: np.ndarray) -> None:
    boxes["t"] += 60_000_000


def scale(factor: float) -> Callable[[np.ndarray], None]:
    """The same times in another unit."""

    def change(boxes: np.ndarray) -> None:
        boxes["t"] = np.rint(boxes["t"] * factor)

    return change


def in_seconds(boxes: np.ndarray) -> np.ndarray:
    out = boxes.astype([(name, "f8" if name == "t" else boxes.dtype[name]) for name in boxes.dtype.names or ()])
    out["t"] /= 1e6
    return out


def count_from_one(boxes: np.ndarray) -> None:
    boxes["class_id"] = 1 + (np.arange(len(boxes)) % 3 == 2)
    boxes["class_id"][-1] = 2


def archive_of_boxes(folder: Path) -> None:
    def change(raw: Path) -> None:
        with open(raw / "train" / "s0_bbox.npy", "wb") as handle:
            np.savez(handle, boxes=boxes_at([1000]))

    preprocess(folder, change)


def in_words(boxes: np.ndarray) -> np.ndarray:
    """The same boxes with words where x should be."""
    out = boxes.astype([(name, "U9" if name == "x" else boxes.dtype[name]) for name in boxes.dtype.names or ()])
    out["x"] = "left"
    return out


def other_settings(folder: Path) -> None:
    raw = raw_in(folder)
    preprocess_dataset(raw, folder / "in" / "out", config())
    before = content(folder / "in" / "out")
    try:
        preprocess_dataset(raw, folder / "in" / "out", config(min_side=7, align_t_ms=0))
    finally:
        assert content(folder / "in" / "out") == before


def writing_fails(code: int, at_call: int) -> Change:
    """The file system takes no more at the given frame."""

    def act(folder: Path) -> None:
        real, calls = SequenceWriter.append_frames, []

        def failing(writer: SequenceWriter, frames: np.ndarray, given: bool) -> None:
            calls.append(1)
            if len(calls) >= at_call:
                raise OSError(code, os.strerror(code))
            real(writer, frames, given)

        with mock.patch.object(SequenceWriter, "append_frames", failing):
            preprocess(folder)

    return act


def full_disk_as_hdf5_says_it(folder: Path) -> None:
    text = "Can't decrement id ref count (file write failed: errno = 28, error message = 'No space left on device')"
    with mock.patch.object(SequenceWriter, "append_frames", side_effect=RuntimeError(text)):
        preprocess(folder)


def read_only(folder: Path) -> None:
    """As a file system that is mounted read-only answers (the tests may run as root, who may write anywhere)."""
    refusal = OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder / "out"))
    with mock.patch.object(folder_module.Path, "mkdir", side_effect=refusal):
        preprocess_dataset(folder / "in" / "raw", folder / "out", config())


def prepared(act: Change) -> Change:
    def whole(folder: Path) -> None:
        raw_in(folder)
        act(folder)

    return whole


def output_is_a_file(folder: Path) -> None:
    (folder / "in" / "out").write_text("mine")
    preprocess_dataset(folder / "in" / "raw", folder / "in" / "out", config())


def second_recording(name: str) -> Change:
    return lambda raw: (raw / "train" / name).touch()


def sub_second_recording(raw: Path) -> None:
    (raw / "train" / "more").mkdir()
    write_dat(raw / "train" / "more" / "s0_td.dat", events_of(), *HW)
    write_bbox_npy(raw / "train" / "more" / "s0_bbox.npy", boxes_at(every_ms(50)))


def empty_split(folder: Path) -> None:
    (raw_in(folder) / "val").mkdir()
    preprocess_dataset(folder / "in" / "raw", folder / "out", config())


def no_splits(folder: Path) -> None:
    raw = raw_in(folder)
    preprocess_dataset(raw / "train", folder / "out", config())


def typed(*arguments: str, raw: bool = True) -> Change:
    """The command as a user types it, on one recording of 32 x 40 pixels."""

    def act(folder: Path) -> None:
        given = [f"raw_path={raw_in(folder)}", f"dataset.path={folder / 'out'}"] if raw else []
        command("scripts/preprocess_dataset.py", *given, "hardware.num_workers=0", *arguments)

    return act


def damaged_dataset(folder: Path) -> None:
    out = folder / "in" / "out"
    preprocess_dataset(raw_in(folder), out, config())
    path = next(out.rglob("labels.npz"))
    data = bytearray(path.read_bytes())
    data[99] ^= 1
    path.write_bytes(data)
    verify_dataset(out, config())


def bad(name: str, act: Change, *expect: str) -> BadInput:
    return BadInput("preprocessing", name, act=act, expect=expect)


CASES = [
    bad("no folder of recordings", lambda f: preprocess_dataset(f / "none", f / "out", config()), "raw_path"),
    bad("`raw_path` not given", typed("dataset=gen1", raw=False), "raw_path=VALUE"),
    bad("a folder without train, val and test", no_splits, "the folder that holds train, val, test"),
    bad("an empty split", empty_split, "recordings (*.dat", "splits=[...] without val"),
    bad(
        "the dataset in the folder of the recordings",
        prepared(lambda f: preprocess_dataset(f / "in" / "raw", f / "in" / "raw", config())),
        "dataset.path",
    ),
    bad(
        "a recording without a box file",
        lambda f: preprocess(f, lambda raw: (raw / "train" / "s0_bbox.npy").unlink()),
        "no s0_bbox.npy",
        "all_windows=true",
    ),
    bad(
        "two recordings of one name", lambda f: preprocess(f, second_recording("s0.aedat4")), "s0.aedat4 and s0_td.dat"
    ),
    bad(
        "two recordings of one name in subfolders",
        lambda f: preprocess(f, sub_second_recording),
        "more/s0_td.dat and s0_td.dat",
    ),
    bad(
        "a box file that is none",
        lambda f: preprocess(f, lambda raw: (raw / "train" / "s0_bbox.npy").write_bytes(b"boxes")),
        "s0_bbox.npy",
    ),
    bad(
        "a box file cut off",
        lambda f: preprocess(f, lambda raw: os.truncate(raw / "train" / "s0_bbox.npy", 300)),
        "s0_bbox.npy",
    ),
    bad("boxes as plain numbers", with_box_array(np.zeros((5, 6))), "fields t", "s0_bbox.npy"),
    bad(
        "boxes without a class",
        with_box_array(np.zeros(3, dtype=[("t", "<i8"), *((n, "<f4") for n in "xywh")])),
        "class_id",
    ),
    bad("an archive instead of an array", archive_of_boxes, "an archive", "np.save"),
    bad("boxes of words", with_box_array(in_words(boxes_at([1000]))), "s0_bbox.npy"),
    bad("pickled boxes", with_box_array(np.array([{"t": 1}], dtype=object)), "s0_bbox.npy"),
    bad("boxes that are not numbers", with_boxes(lambda b: b["x"].fill(np.nan)), "20 of 20", "box 0: t=50000, x=nan"),
    bad("infinite boxes", with_boxes(lambda b: b["h"].fill(np.inf)), "20 of 20", "h=inf"),
    bad("boxes of negative width", with_boxes(lambda b: b["w"].fill(-4)), "a size above 0", "w=-4.0"),
    bad("a box before time began", with_boxes(put("t", -1)), "times of at least 0", "t=-1"),
    bad(
        "classes that the dataset lacks",
        with_boxes(lambda b: b["class_id"].fill(5)),
        "20 other class",
        "dataset.classes",
    ),
    bad(
        "classes without a name",
        with_boxes(put("class_id", 5), num_raw_classes=None, num_classes=2),
        "ids 0 (19 boxes), 5 (1 boxes)",
        "dataset.preprocessing.num_raw_classes",
    ),
    bad(
        "classes counted from 1",
        with_boxes(count_from_one, num_raw_classes=None, num_classes=2),
        "ids 1 (13 boxes), 2 (7 boxes)",
        "subtract 1",
    ),
    bad("boxes outside the sensor", with_boxes(lambda b: b["x"].fill(500)), "20 outside", "dataset.sensor_hw"),
    bad("boxes that are all too small", with_boxes(lambda b: None, min_side=20), "20 small"),
    bad("labels before `align_t_ms` only", with_boxes(lambda b: b[:1]), "1 before align_t_ms"),
    bad("labels after the recording only", with_boxes(shift), "ends at 999", "subtract about 60.050 s"),
    bad(
        "labels on another clock",
        with_boxes(lambda b: None, start=11_194_368),
        "20 before the first event",
        "add about 11.195 s",
    ),
    bad("labels in milliseconds", with_boxes(scale(1e-3)), "more than 1000 a second", "labels in ms"),
    bad("labels in nanoseconds", with_boxes(scale(1e3)), "20 after the last event", "labels in ns"),
    bad("labels in seconds", with_box_array(in_seconds(boxes_at(every_ms(50)))), "t = 0.05", "microseconds"),
    bad(
        "a recording cut off",
        with_dat(lambda p, data: p.write_bytes(data[:-3])),
        "s0_td.dat",
        "start the same command again",
    ),
    bad("an empty recording", with_dat(lambda p, data: p.write_bytes(b"")), "s0_td.dat"),
    bad("a recording without events", with_dat(lambda p, data: p.write_bytes(data[: -8 * 4000])), "no events"),
    bad("something that is no recording", with_dat(lambda p, data: p.write_bytes(b"MP4" + data)), "s0_td.dat"),
    bad(
        "a recording of another sensor",
        lambda f: preprocess_dataset(raw_in(f), f / "out", PreprocessConfig((99, 99))),
        "99 rows",
        "sensor_hw=[32,40]",
    ),
    bad(
        "settings other than those of the folder",
        other_settings,
        "align_t_ms: 0 instead of 100.0; min_side: 7 instead of 5.0",
    ),
    bad("the dataset's folder is a file", prepared(output_is_a_file), "in/out", "dataset.path"),
    bad("a read-only file system", prepared(read_only), "Read-only file system", "dataset.path"),
    bad("a full disk", writing_fails(errno.ENOSPC, 3), "No space left on device", "make room"),
    bad("a full quota", writing_fails(errno.EDQUOT, 1), "make room"),
    bad("a full disk, as HDF5 says it", full_disk_as_hdf5_says_it, "errno = 28", "make room"),
    bad("an unknown representation", typed("dataset.representation.kind=voxels"), "voxel_grid", "kind"),
    bad("no bins", typed("dataset.representation.bins=0"), "bins"),
    bad("a flipped bit, found by `--verify`", damaged_dataset, "labels_v2/labels.npz", "checksum"),
    bad(
        "`--verify` of nothing", typed("--verify", "dataset=gen1", "dataset.path=nowhere", raw=False), "no such folder"
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input(case: BadInput, tmp_path: Path) -> None:
    check(case, tmp_path)
    assert not (tmp_path / "out").exists()
