"""Clips on disk, the plan by which they are cut, and the synthetic ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.clips.batches import ClipDataset, mirrored
from data.clips.config import ClipSettings
from data.clips.files import ClipSequence, open_sequence, sequences_of, write_sequence
from data.clips.plan import EvalClips, TrainClips
from data.clips.synthetic import FilmSettings, make_clips
from data.synthetic.config import world_config
from utils.errors import UserError

FILM = FilmSettings(frame_ms=50, exposure_ms=40, bins=4, spikes=60)
WORLD = {
    "height": 16,
    "width": 24,
    "duration_s": 0.2,
    "num_train": 2,
    "num_val": 1,
    "num_test": 0,
    "render_rate_hz": 200,
}


def settings(path: Path | str = "", **more: object) -> ClipSettings:
    return ClipSettings(**{"path": str(path), "frames": 3, "crop": 8, "mirror": True, "batch_size_train": 2, **more})


def written(path: Path, frames: int = 5, height: int = 8, width: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    pictures = {name: rng.integers(0, 256, (frames, height, width, 3), np.uint8) for name in ("blurred", "sharp")}
    spikes = rng.integers(0, 9, (frames, 4, height, width), np.uint8)
    write_sequence(path, pictures, spikes, np.zeros((frames, 2), np.int64))
    return {**pictures, "spikes": spikes}


SEQUENCES = [ClipSequence(Path("a"), 7, (8, 12), 4), ClipSequence(Path("b"), 4, (10, 9), 4)]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    arrays = written(tmp_path / "val" / "one.h5")
    (sequence,) = sequences_of(tmp_path, "val")
    assert (sequence.frames, sequence.size, sequence.bins) == (5, (8, 12), 4)
    batch = ClipDataset([sequence], 3)[EvalClips([sequence], settings(batch_size_eval=2)).batch(0, 0)]
    assert batch["ev_idx"].T.tolist() == [[0, 1, 2], [2, 3, 4]]
    assert batch["counted"].tolist() == [[True] * 3, [False, True, True]]
    np.testing.assert_array_equal(batch["sharp"][1], arrays["sharp"][2:].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(batch["spikes"][0], arrays["spikes"][:3])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        sequences_of(tmp_path, "train")
    path = tmp_path / "train" / "one.h5"
    path.parent.mkdir()
    path.write_bytes(b"\x89HDF")
    with pytest.raises(UserError, match=str(path)):
        sequences_of(tmp_path, "train")
    written(path)
    with h5py.File(path, "a") as file:
        del file["sharp"]
        file["sharp"] = np.zeros((5, 8, 11, 3), np.uint8)
    with pytest.raises(UserError, match=r"sharp \(5, 8, 11, 3\)"):
        open_sequence(path)
    written(path)
    with h5py.File(path, "a") as file:
        shape = file["sharp"].shape
        del file["sharp"]
        file["sharp"] = np.zeros(shape, np.float32)
    with pytest.raises(UserError, match="of float32"):
        open_sequence(path)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_frame_counts_once_over_all_processes(world: int) -> None:
    plans = [EvalClips(SEQUENCES, settings(batch_size_eval=2), rank, world) for rank in range(world)]
    assert len({len(plan) for plan in plans}) == 1
    seen = Counter(
        (clip.sequence, clip.start + frame)
        for plan in plans
        for index in range(len(plan))
        for clip in plan.batch(0, index).clips
        for frame in range(clip.counted, 3)
    )
    assert seen == Counter((number, frame) for number, of in enumerate(SEQUENCES) for frame in range(of.frames))


def test_an_epoch_has_every_clip_in_an_order_of_its_own() -> None:
    whole, parts = TrainClips(SEQUENCES, settings()), [TrainClips(SEQUENCES, settings(), rank, 2) for rank in (0, 1)]

    def clips(plan: TrainClips, epoch: int) -> list[tuple[int, int]]:
        return [(c.sequence, c.start) for index in range(len(plan)) for c in plan.batch(epoch, index).clips]

    assert len(whole) == 3
    assert len(set(clips(whole, 0))) == 6
    assert clips(whole, 0) != clips(whole, 1)
    assert whole.batch(3, 1) == TrainClips(SEQUENCES, settings()).batch(3, 1)
    assert not set(clips(parts[0], 0)) & set(clips(parts[1], 0))
    for clip in whole.batch(0, 2).clips:
        assert clip.top + 8 <= SEQUENCES[clip.sequence].size[0]
        assert clip.left + 8 <= SEQUENCES[clip.sequence].size[1]


@pytest.mark.parametrize(
    ("more", "key"), [({"crop": 9}, "model.clips.crop"), ({"batch_size_train": 9}, "the train split")]
)
def test_clips_that_cannot_be_cut(more: dict[str, int], key: str) -> None:
    with pytest.raises(UserError) as mistake:
        TrainClips(SEQUENCES, settings(**more))
    assert mistake.value.where == key


def test_mirroring_turns_frames_in_eight_ways() -> None:
    frame = np.arange(4).reshape(1, 2, 2)
    ways = {mirrored(frame, (a, b, c)).tobytes() for a in (False, True) for b in (False, True) for c in (False, True)}
    assert len(ways) == 8


def test_the_synthetic_world_as_clips(tmp_path: Path) -> None:
    world = world_config(WORLD)
    assert make_clips(tmp_path / "clips", world, FILM, 3, 0) == 3
    assert make_clips(tmp_path / "clips", world, FILM, 3, 0) == 0, "what is there is kept"
    again = tmp_path / "again"
    make_clips(again, world, FILM, 3, 0)
    name = Path("train") / "train_0001.h5"
    assert (again / name).read_bytes() == (tmp_path / "clips" / name).read_bytes()
    sequence = open_sequence(again / name)
    whole = (slice(None), slice(None))
    parts = sequence.read(0, sequence.frames, whole)
    assert parts["spikes"].shape == (4, 4, 16, 24)
    # As many spikes as light, whose root the picture is: off by one for the charge that is left, and by rounding.
    light = (parts["blurred"][..., 0] / 255.0) ** 2 * FILM.spikes
    assert np.abs(parts["spikes"].sum(1) - light).max() < 1.5
    with pytest.raises(UserError, match="seed"):
        make_clips(again, world, FILM, 4, 0)
    with pytest.raises(UserError, match=r"world\.render_rate_hz"):
        make_clips(again, world, FilmSettings(frame_ms=50, exposure_ms=40, bins=32, spikes=60), 3, 0)
