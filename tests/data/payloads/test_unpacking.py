"""Frames unpacked outside HDF5 are those that HDF5 reads, moved or not; memory of batches is used again when free."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
import torch

from data.augmentation.frames import apply_to_frames, reverse_time
from data.augmentation.state import AugmentationState, Crop
from data.payloads.buffers import batch_memory
from data.payloads.chunks import in_stripes, is_direct, one_ahead
from data.payloads.frame_reader import DATASET_NAME, FrameReader, UnreadableFrames
from data.payloads.frame_writer import FrameWriter
from data.payloads.frames import FramesPayload
from utils.errors import UserError

FRAMES = np.random.default_rng(0).integers(-4, 5, (7, 2, 6, 8))
STATES = {
    "as it is": AugmentationState(),
    "mirrored": AugmentationState(hflip=True),
    "turned": AugmentationState(hflip=True, angle_deg=5.0),
    "in": AugmentationState(zoom="in", x0y0=(1, 1), factor=1.4),
    "out": AugmentationState(hflip=True, zoom="out", x0y0=(1, 0), factor=1.3),
    "cropped": AugmentationState(crop=Crop((2, 1), (3, 4), (0, 2))),
}


def written(path: Path, frames: np.ndarray) -> FrameReader:
    with h5py.File(path, "w") as file:
        writer = FrameWriter(file, frames.shape[1:], frames.dtype)
        for frame in frames:
            buffer = frame.copy()
            writer.append(buffer)
            buffer[:] = 0  # the writer took its own copy
        writer.close()
    return FrameReader(path)


def by_others(path: Path, frames: np.ndarray, **options: object) -> FrameReader:
    with h5py.File(path, "w") as file:
        file.create_dataset(DATASET_NAME, data=frames, **options)
    return FrameReader(path)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16"])
def test_hdf5_reads_what_was_packed_here(tmp_path: Path, dtype: str) -> None:
    frames = FRAMES.astype(dtype)
    reader = written(tmp_path / "a.h5", frames)
    with h5py.File(reader.path) as file:
        assert is_direct(file[DATASET_NAME])
        np.testing.assert_array_equal(file[DATASET_NAME][:], frames)
    np.testing.assert_array_equal(reader.read(2, 6), frames[2:6])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_moved_while_read(
    tmp_path: Path, state: AugmentationState, reverse: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    frames, payload = FRAMES.astype(np.uint8), FramesPayload()
    reader = written(tmp_path / "a.h5", frames)
    out = np.full((9, 2, 6, 8), 99, dtype=np.uint8)
    part = payload.read(reader, 1, 6, reverse, state, out)
    expected = apply_to_frames(reverse_time(frames[1:6]).copy() if reverse else frames[1:6], state)
    assert np.may_share_memory(part, out)
    np.testing.assert_array_equal(part, expected)
    assert (out[5:] == 99).all()


def test_other_stores_are_read_by_hdf5(tmp_path: Path) -> None:
    frames = FRAMES.astype(np.int8)
    stores = {
        "plain": {},
        "gzip": {"chunks": (1, 2, 6, 8), "compression": "gzip"},
        "several": {"chunks": (3, 2, 6, 8), **hdf5plugin.Blosc(cname="lz4")},
        "lz4": {"chunks": (1, 2, 6, 8), **hdf5plugin.Blosc(cname="lz4")},
    }
    for name, options in stores.items():
        reader = by_others(tmp_path / name, frames, **options)
        np.testing.assert_array_equal(reader.read(1, 7), frames[1:])
        moved = FramesPayload().read(reader, 1, 7, True, AugmentationState(hflip=True))
        np.testing.assert_array_equal(moved, frames[1:][::-1, ::-1, :, ::-1])


def test_damage_within_a_chunk_is_told(tmp_path: Path) -> None:
    reader = written(tmp_path / "a.h5", FRAMES.astype(np.uint8))
    with h5py.File(reader.path) as file:
        place = file[DATASET_NAME].id.get_chunk_info(3).byte_offset
    with reader.path.open("r+b") as file:
        file.seek(place + 4)
        file.write(b"\xff\xff\xff\xff")
    assert len(reader.read(0, 3)) == 3
    with pytest.raises(UnreadableFrames, match="damaged data"):
        reader.read(2, 5)


def test_frames_of_somebody_else_are_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # as h5py does; nobody is refused where tests run as root

    monkeypatch.setattr(h5py, "File", refuse)
    (tmp_path / "frames.h5").touch()
    with pytest.raises(UserError, match="no permission") as caught:
        _ = FrameReader(tmp_path / "frames.h5").shape
    assert "delete" not in caught.value.fix


def test_memory_in_use_is_left_alone() -> None:
    shape = (3, 1, 2, 5, 7)
    first = batch_memory(shape, np.dtype("int8"))
    view, place = first[1:], first.data_ptr()
    del first
    second = batch_memory(shape, np.dtype("int8"))
    assert second.data_ptr() != place
    del view
    assert batch_memory(shape, np.dtype("int8")).data_ptr() == place


def test_the_first_error_of_a_thread_is_raised() -> None:
    def work(index: int) -> None:
        if index == 5:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        in_stripes(work, 8, 3)


def test_one_is_made_ahead_and_errors_come_in_their_turn() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return 10 * number

    made = one_ahead(work, range(6))
    assert next(made) == 0
    assert next(made) == 10
    assert begun in ([0, 1], [0, 1, 2])  # two was asked for, three is not before two is taken
    assert next(made) == 20
    with pytest.raises(ValueError, match="three"):
        next(made)
    assert begun == [0, 1, 2, 3]
    assert list(one_ahead(work, [])) == []
    assert list(one_ahead(work, [4, 5])) == [40, 50]
