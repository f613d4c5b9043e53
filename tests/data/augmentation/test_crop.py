"""Random crop: frames and boxes stay together, boxes inside, those out of view dropped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augmentation.config import AugmentationConfig, CropConfig, RotationConfig, ZoomConfig
from data.augmentation.frames import apply_to_frames
from data.augmentation.state import AugmentationState, Crop, apply_to_labels, sample_state
from utils.boxes import IGNORE_LABEL
from utils.errors import UserError

HW = (60, 90)
CROP = AugmentationConfig(crop=CropConfig(prob=1.0, min_share=0.3, min_visible=0.0))
BOXES = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5
)


def rows_of(boxes: list[tuple[int, ...]], class_id: float = 0.0) -> torch.Tensor:
    rows = [[1.0, x, y, min(w, 89 - x), min(h, 59 - y), class_id, 1.0, 1.0] for x, y, w, h in boxes]
    return torch.tensor(rows)


def test_a_given_crop() -> None:
    frames = np.arange(1, 26, dtype=np.uint8).reshape(1, 1, 5, 5)
    state = AugmentationState(crop=Crop((1, 2), (2, 3), (2, 0)))
    expected = np.zeros((5, 5), dtype=np.uint8)
    expected[0:2, 2:5] = frames[0, 0, 2:4, 1:4]
    assert np.array_equal(apply_to_frames(frames, state)[0, 0], expected)
    rows = torch.tensor([[1.0, 0, 1, 3, 3, 0, 1, 1], [1.0, 0, 0, 1, 1, 0, 1, 1]])
    left, keep = apply_to_labels(rows, (5, 5), state)
    assert keep.tolist() == [True, False]
    assert left[0, 1:5].tolist() == [2, 0, 2, 1]


@settings(deadline=None)
@given(st.integers(0, 2**32), BOXES)
def test_boxes_stay_inside_and_cover_what_they_covered(seed: int, boxes: list[tuple[int, ...]]) -> None:
    rows = rows_of(boxes)
    state = sample_state(CROP, np.random.default_rng(seed), HW, rows)
    assert state.crop is not None
    (height, width), (to_x, to_y) = state.crop.size_hw, state.crop.to_x0y0
    left, keep = apply_to_labels(rows, HW, state)
    assert len(left) == int(keep.sum())
    x0, y0, x1, y1 = left[:, 1], left[:, 2], left[:, 1] + left[:, 3], left[:, 2] + left[:, 4]
    inside = (x0 >= to_x) & (y0 >= to_y) & (x1 <= to_x + width - 1) & (y1 <= to_y + height - 1)
    assert bool((inside & (left[:, 3] > 0) & (left[:, 4] > 0)).all())
    # What is under a kept box after the crop was under it before, and all of it that is left is under the box.
    for row, moved in zip(rows[keep], left, strict=True):
        frames = np.zeros((1, 1, *HW), dtype=np.uint8)
        x, y, w, h = (int(v) for v in row[1:5])
        frames[..., y : y + h + 1, x : x + w + 1] = 1
        where_y, where_x = np.nonzero(apply_to_frames(frames, state)[0, 0])
        found = [where_x.min(), where_y.min(), where_x.max() - where_x.min(), where_y.max() - where_y.min()]
        assert found == moved[1:5].tolist()


@settings(deadline=None)
@given(st.integers(0, 2**32), BOXES)
def test_a_box_stays_in_view_and_ignored_boxes_stay_ignored(seed: int, boxes: list[tuple[int, ...]]) -> None:
    rows = rows_of(boxes, IGNORE_LABEL)
    large = AugmentationConfig(crop=CropConfig(prob=1.0, min_share=0.9, min_visible=0.0))
    left, _ = apply_to_labels(rows, HW, sample_state(large, np.random.default_rng(seed), HW, rows))
    assert (left[:, 5] == IGNORE_LABEL).all()
    fits = [w <= 78 and h <= 51 and w > 1 and h > 1 for _, _, w, h in rows[:, 1:5].tolist()]
    assert len(left) >= 1 or not all(fits)


def test_mostly_hidden_boxes_are_dropped() -> None:
    rows = torch.tensor([[1.0, 0, 0, 20, 20, 0, 1, 1], [1.0, 10, 0, 20, 20, 0, 1, 1]])
    for least, left in ((0.0, 2), (0.3, 1), (0.8, 0)):
        state = AugmentationState(crop=Crop((20, 0), (60, 60), (0, 0), least))
        rows_left, keep = apply_to_labels(rows + torch.tensor([0.0, 4, 0, 0, 0, 0, 0, 0]), HW, state)
        assert len(rows_left) == int(keep.sum()) == left


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_crop_leaves_the_other_decisions_alone(seed: int) -> None:
    plain = AugmentationConfig(hflip=0.5, rotate=RotationConfig(prob=0.5), zoom=ZoomConfig(prob=0.8))
    cropped = AugmentationConfig(
        hflip=0.5, rotate=RotationConfig(prob=0.5), zoom=ZoomConfig(prob=0.8), crop=CropConfig(prob=1.0)
    )
    none = torch.zeros(0, 8)
    one, other = (sample_state(c, np.random.default_rng(seed), HW, none) for c in (plain, cropped))
    assert (one.hflip, one.angle_deg, one.zoom, one.x0y0) == (other.hflip, other.angle_deg, other.zoom, other.x0y0)
    assert one.crop is None
    assert other.crop is not None
    frames = np.random.default_rng(seed).integers(0, 9, (2, 3, *HW), dtype=np.uint8)
    assert apply_to_frames(frames, other).shape == frames.shape


@pytest.mark.parametrize("wrong", [{"prob": 2.0}, {"min_share": 0.0}, {"min_visible": 1.5}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="crop"):
        CropConfig(**wrong)
