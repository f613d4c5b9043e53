"""Labels repaired by tracks of both directions, on made-up objects whose true way is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from modules.labelling.config import ScoreThresholds
from modules.tracking.filter import TrackFilterConfig
from modules.tracking.joint import Boxes, JointConfig, joint_tracks
from modules.tracking.repair import track_and_repair
from utils.boxes import IGNORE_LABEL, Label

HW = (240, 304)
Rows = npt.NDArray[np.float32]
Way = Callable[[int], tuple[float, float]]


SURE, UNSURE = (ScoreThresholds.of(least, least, range(2)) for least in (0.6, 0.3))


def row(x: float, y: float, class_id: int = 0, score: float = 0.9, t: float = 0, size: float = 30) -> Rows:
    return np.array([[t, x, y, size, size, class_id, score, score]], dtype=np.float32)


def moving(frames: Sequence[int], way: Way, **what: float) -> dict[int, Rows]:
    return {frame: row(*way(frame), **what) for frame in frames}  # pyright: ignore[reportArgumentType]


def together(*objects: dict[int, Rows]) -> dict[int, Rows]:
    frames = sorted({frame for boxes in objects for frame in boxes})
    return {frame: np.concatenate([boxes[frame] for boxes in objects if frame in boxes]) for frame in frames}


def repair(boxes: dict[int, Rows], config: JointConfig | None = None, inpaint: bool = True) -> dict[int, Rows]:
    return track_and_repair(boxes, HW, TrackFilterConfig(6, inpaint=inpaint, joint=config or JointConfig()), SURE)


def labels(rows: Rows) -> Rows:
    return rows[rows[:, Label.CLASS_ID] != IGNORE_LABEL]


def right(frame: int) -> tuple[float, float]:
    return 20 + 4.0 * frame, 100


def corner(_: int) -> tuple[float, float]:
    return 5, 200


EDGES = moving((0, 60), corner)
"""Frames long before and after an object, so that its ends lie within the sequence."""


def test_two_that_cross_stay_themselves() -> None:
    boxes = together(moving(range(40), right), moving(range(40), lambda i: (176 - 4.0 * i, 104)))
    flat = Boxes.of(list(boxes), list(boxes.values()), np.ones(80, dtype=bool))
    track_id, agreed = joint_tracks(flat, JointConfig())
    assert [len(set(track_id[own::2].tolist())) for own in (0, 1)] == [1, 1]
    assert agreed.sum() == 78
    assert all(len(labels(rows)) == 2 for rows in repair(boxes).values())


def test_a_short_gap_is_filled_and_a_long_one_ignored() -> None:
    boxes = together(EDGES, moving([*range(10, 20), *range(22, 30), *range(35, 45)], right))
    out = repair(boxes, JointConfig(fill_gap=3))
    for frame in (20, 21):
        (filled,) = labels(out[frame])
        np.testing.assert_allclose(filled[Label.XYWH], [*right(frame), 30, 30], atol=0.5)
        assert filled[Label.CLASS_ID] == 0
        np.testing.assert_allclose(filled[[Label.OBJECTNESS, Label.CLASS_CONFIDENCE]], 0.9, atol=1e-6)
    for frame in (7, 32, 47):  # before, between, after
        assert out[frame][:, Label.CLASS_ID].tolist() == [IGNORE_LABEL]
        assert out[frame][0, Label.OBJECTNESS] == 0
    assert 6 not in out
    assert 48 not in out
    plain = repair(boxes, JointConfig(fill_gap=0), inpaint=False)
    assert sorted(plain) == sorted(boxes)


@pytest.mark.parametrize("comes_back", [True, False])
def test_an_object_that_stops_is_not_forgotten(comes_back: bool) -> None:
    def stops(frame: int) -> tuple[float, float]:
        return right(min(frame, 15) if frame < 40 else frame - 25)

    boxes = moving([*range(20), *(range(40, 60) if comes_back else ())], stops)
    boxes = together(boxes, moving((0, 70), corner))
    out = repair(boxes, JointConfig(keep_stopped=25))
    for frame in range(20, 40):
        found = labels(out[frame])
        assert len(found) == (1 if comes_back else 0)
        np.testing.assert_allclose(out[frame][0, Label.XY], right(15), atol=2)
    assert 30 not in repair(boxes, JointConfig())
    for_ever = repair(boxes, JointConfig(keep_stopped=10**12, fill_gap=10**12))
    assert set(out) <= set(for_ever) <= set(range(71))


def test_the_track_decides_class_and_score() -> None:
    flipped, weak = row(*right(15), class_id=1), row(*right(20), score=0.4)
    boxes = together(EDGES, {**moving(range(10, 30), right), 15: flipped, 20: weak})
    out = repair(together(boxes, {40: row(200, 50), 41: row(200, 200, score=0.4)}))
    for frame in range(10, 30):
        assert labels(out[frame])[:, Label.CLASS_ID].tolist() == [0]
    assert labels(out[15])[0, Label.CLASS_CONFIDENCE] == pytest.approx((18 * 0.9 + 0.4) / 19)
    assert labels(out[20])[0, Label.OBJECTNESS] == pytest.approx((0.4 + (18 * 0.9 + 0.4) / 19) / 2)
    assert out[40][0, Label.CLASS_ID] == IGNORE_LABEL  # strong and alone
    assert 41 not in out  # weak and alone
    doubts = track_and_repair({**boxes, 61: row(200, 200, score=0.4)}, HW, TrackFilterConfig(), SURE, UNSURE)
    assert doubts[61][0, Label.CLASS_ID] == IGNORE_LABEL
    own = repair(boxes, JointConfig(score_mix=0))
    assert own[20][0, Label.CLASS_ID] == IGNORE_LABEL  # weak, and on a track


def test_of_two_tracks_of_one_object_the_better_stays() -> None:
    double = moving(range(20, 30), lambda i: (right(i)[0] + 6, 106), score=0.7, class_id=1)
    out = repair(together(EDGES, moving(range(10, 40), right), double))
    assert out[25][:, Label.CLASS_ID].tolist() == [0, IGNORE_LABEL]


def test_ground_truth_is_an_anchor() -> None:
    truth = row(*right(12), class_id=1, t=6e5, score=1)
    boxes = together(EDGES, {**moving((10, 11, 13, 14), right, score=0.7), 12: truth})
    out = repair(boxes, JointConfig(smooth=True))
    np.testing.assert_array_equal(out[12], truth)
    assert [labels(out[frame])[:, Label.CLASS_ID].tolist() for frame in (10, 11, 13, 14)] == [
        [1]
    ] * 4  # short, and sure
    erased = {**boxes, 60: row(5, 200, class_id=IGNORE_LABEL)}
    np.testing.assert_array_equal(repair(erased)[60], erased[60])
    late = together(boxes, {16: row(250, 10, t=8e5, score=1)})
    assert len(repair(late)[16]) == 1  # nothing is painted beside ground truth
    assert len(repair(boxes)[16]) == 1


def test_ground_truth_contradicts_a_track() -> None:
    boxes = together(EDGES, moving([*range(10, 30), *range(31, 50)], right), {30: row(5, 200, t=2e6)})
    out = repair(boxes)
    assert out[20][:, Label.CLASS_ID].tolist() == [IGNORE_LABEL]
    beside = together(EDGES, {**moving(range(10, 50), right), 30: row(right(30)[0] + 12, 106, t=2e6)})
    assert labels(repair(beside)[20])[:, Label.CLASS_ID].tolist() == [0]


def noisy(seed: int = 0) -> dict[int, Rows]:
    rng = np.random.default_rng(seed)
    boxes = together(
        moving(range(50), right), moving(range(5, 45), lambda i: (200 - 3.0 * i, 20 + 2.0 * i), class_id=1)
    )
    for frame, rows in boxes.items():
        rows[:, Label.XYWH] += rng.normal(0, 2.5, (len(rows), 4)).astype(np.float32)
        rows[:, 6:] = rng.uniform(0.5, 0.95, (len(rows), 2))
        boxes[frame] = rows[rng.random(len(rows)) < 0.85]
    return {frame: rows for frame, rows in boxes.items() if len(rows)}


def test_smoothed_boxes_lie_closer_to_the_truth() -> None:
    def error(smooth: bool) -> float:
        out = repair(noisy(), JointConfig(smooth=smooth, fill_gap=0))
        cars = [(frame, found[found[:, Label.CLASS_ID] == 0]) for frame, found in out.items()]
        offsets = [rows[0, Label.XYWH] - [*right(frame), 30, 30] for frame, rows in cars if len(rows)]
        return float(np.sqrt(np.mean(np.square(offsets))))

    assert 2 < error(False) < 3
    assert error(True) < 1.3


def test_reversed_time_gives_the_mirrored_result() -> None:
    config = JointConfig(smooth=True, keep_stopped=10)
    boxes = noisy(1)
    plain = repair(boxes, config)
    back = repair({-frame: boxes[frame] for frame in reversed(boxes)}, config)
    assert sorted(-frame for frame in back) == list(plain)
    for frame, rows in plain.items():
        ours, theirs = (part[np.lexsort(part[:, [Label.Y, Label.X]].T)] for part in (rows, back[-frame]))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-2)


def test_nothing_and_one_box() -> None:
    assert repair({}) == {}
    assert repair({3: np.zeros((0, 8), dtype=np.float32)}) == {}
    np.testing.assert_allclose(repair({3: row(9, 9)})[3], row(9, 9))
    with pytest.raises(ValueError, match="ascend"):
        repair({3: row(0, 0), 2: row(0, 0)})
