"""Pieces of clips: they cover everything, overlaps are averaged, and no more than a piece is read at once."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from models.restoration.interface import Restorer
from models.restoration.tiles import TileSettings, Window, pieces, restored
from utils.errors import UserError


class Marked(Restorer):
    """Gives its input back, brighter from call to call where ``steps`` says so."""

    family: ClassVar[str] = "marked"
    spike_bins = 0

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step, self.calls = step, 0

    def restore(self, blurred: Tensor, spikes: Tensor | None) -> Tensor:
        self.calls += 1
        return blurred + self.step * (self.calls - 1)

    def losses(self, restored: Tensor, sharp: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


def test_all_frames_come_back_from_pieces_of_bounded_size() -> None:
    clip = torch.rand(2, 11, 3, 20, 33, generator=torch.Generator().manual_seed(0))
    sizes = set()

    def read(start: int, stop: int, window: Window) -> tuple[Tensor, None]:
        part = clip[:, start:stop, :, window[0], window[1]]
        sizes.add(tuple(part.shape))
        return part, None

    tiles = TileSettings(frames=4, side=16, overlap_frames=1, overlap=5)
    found = torch.stack(list(restored(Marked(0.0), read, 11, (20, 33), tiles)), dim=1)
    torch.testing.assert_close(found, clip)
    assert sizes == {(2, 4, 3, 16, 16)}


def test_the_mean_counts_where_pieces_overlap() -> None:
    clip = torch.zeros(1, 5, 3, 4, 4)
    tiles = TileSettings(frames=3, side=4, overlap_frames=1, overlap=0)
    frames = restored(Marked(1.0), lambda start, stop, window: (clip[:, start:stop], None), 5, (4, 4), tiles)
    assert [float(frame.mean()) for frame in frames] == [0, 0, 0.5, 1, 1]


def test_pieces_cover_every_length() -> None:
    for length in range(1, 30):
        for size in range(2, 8):
            for overlap in range(size):
                covered = [place for piece in pieces(length, size, overlap) for place in range(length)[piece]]
                assert set(covered) == set(range(length))


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("frames", 0, "model.tiles.frames=18"),
        ("frames", -4, "model.tiles.frames=18"),
        ("side", 1.5, "model.tiles.side=192"),
        ("overlap", 16, "model.tiles.overlap=0"),
        ("overlap_frames", -1, "model.tiles.overlap_frames=0"),
    ],
)
def test_what_cannot_be_names_the_key_and_a_value(key: str, value: float, fix: str) -> None:
    sizes: dict[str, Any] = {"frames": 4, "side": 16, "overlap_frames": 1, "overlap": 5}
    with pytest.raises(UserError) as mistake:
        TileSettings(**{**sizes, key: value})
    assert mistake.value.where == f"model.tiles.{key}"
    assert mistake.value.fix == f"set {fix}"
    TileSettings(**{**sizes, key: int(fix.split("=")[1])})
