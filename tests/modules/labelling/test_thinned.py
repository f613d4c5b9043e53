"""The view that lacks some events: a frame is the same in every batch, has its own lane, and must count events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from config.compose import compose
from data.payloads.frames import FrameInputs
from modules.evaluation.agreement import Agreement
from modules.evaluation.views import thin_lanes
from modules.labelling.config import pseudo_labeler_config
from tests.modules.labelling.test_pseudo_labeler import (
    SEQUENCES,
    file_bytes,
    label,
    read,
    settings,
    source,  # noqa: F401 # a fixture
)
from utils.errors import UserError


def test_a_frame_is_thinned_alike_in_every_batch() -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 11, (3, 2, 4, 24, 32), dtype=np.uint8))
    numbers = np.array([[7, -1], [8, 0], [9, 1]])
    both = thin_lanes(FrameInputs(frames), ["train/a", "train/b"], numbers, 0.3).data
    torch.testing.assert_close(both[:, :2], frames)
    thin = both[:, 2:]
    assert (thin <= frames).all()
    torch.testing.assert_close(thin[0, 1], frames[0, 1])
    assert float(thin[:, 0].sum() / frames[:, 0].sum()) == pytest.approx(0.7, abs=0.01)
    elsewhere = thin_lanes(FrameInputs(frames[1:, [1, 0]]), ["", "other/a"], numbers[1:, [1, 0]], 0.3).data
    torch.testing.assert_close(elsewhere[:, 2], frames[1:, 1])
    torch.testing.assert_close(elsewhere[:, 3], thin[1:, 0])


def test_thinned_frames_are_views_of_the_forward_pass(source: Path, tmp_path: Path) -> None:  # noqa: F811
    config = settings(
        drop_events=0.5, hflip=True, tflip=True, tflip_offset=0, agreement=Agreement(0.3), keep_views=True
    )
    label(source, tmp_path / "whole" / "train", config)
    with np.load(tmp_path / "whole" / "views" / "a.npz") as kept:
        assert set(kept["views"].tolist()) == {0, 1, 2, 3, 4, 5}
    for name, frames in SEQUENCES.items():
        assert len(read(tmp_path / "whole" / "train", name).boxes) == frames
    stopped = tmp_path / "stopped" / "train"
    with pytest.raises(KeyboardInterrupt):
        label(source, stopped, config, stop_after=3)
    label(source, stopped, config)
    assert file_bytes(tmp_path / "stopped") == file_bytes(tmp_path / "whole")


def test_only_counts_can_be_thinned() -> None:
    def given(*overrides: str) -> float | None:
        needed = ["dataset.path=DATA", "save_dir=OUT", "tta.enable=true", "tta.drop_events=0.3", *overrides]
        return pseudo_labeler_config(compose(needed, "predict")).drop_events

    assert given() == 0.3
    assert given("tta.enable=false") is None
    for overrides, says in (
        (["dataset.representation.kind=voxel_grid"], "kind=voxel_grid"),
        (["model=dmanet"], "raw events"),
        (["tta.drop_events=1"], "0.01 to 0.99"),
    ):
        with pytest.raises(UserError, match=says):
            given(*overrides)
