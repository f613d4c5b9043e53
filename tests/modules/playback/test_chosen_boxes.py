"""Which boxes are drawn, what they are called, and where they stand side by side."""

from __future__ import annotations

import numpy as np
import pytest

from modules.playback.boxes import LabelTrack, classes_called
from modules.playback.painting import Moment, Painter
from modules.playback.video import Overlays
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.pictures.boxes import BoxKind, DrawnBox
from utils.pictures.drawing import DARK, over_picture


def track(*rows: tuple[float, ...]) -> LabelTrack:
    """Rows t, x, y, w, h, class, confidence, objectness, all in one frame at 100 µs."""
    return LabelTrack(np.array([100]), [np.array(list(rows), dtype=BBOX_DTYPE)], pseudo=True)


ROWS = ((100, 0, 0, 4, 4, 0, 0.1, 1), (0, 1, 0, 4, 4, 0, 0.5, 1), (0, 2, 0, 4, 4, 1, 0.9, 1))


@pytest.mark.parametrize(
    ("score", "only", "kept"),
    [(0.0, None, [0, 1, 2]), (0.6, None, [0, 2]), (0.0, {1}, [2]), (0.6, {0}, [0]), (0.0, set(), [])],
)
def test_scores_are_of_pseudo_labels_and_classes_of_all(score: float, only: set[int] | None, kept: list[int]) -> None:
    (frame,) = track(*ROWS).chosen(score, only).frames
    assert frame["x"].tolist() == kept


def test_classes_are_called_by_name_or_number() -> None:
    assert classes_called(["car", " 3"], ["car", "pedestrian"]) == {0, 3}
    with pytest.raises(UserError, match="a name without letters"):
        classes_called([""], ["car", "bus"])
    with pytest.raises(UserError, match="classes among car, bus"):
        classes_called(["tram"], ["car", "bus"])
    with pytest.raises(UserError, match="names of all classes with --classes"):
        classes_called(["tram"], [])


def test_each_kind_of_boxes_has_its_panel() -> None:
    overlays = Overlays(track(*ROWS), names=["car", "bus"], truth=track(ROWS[0]))
    assert overlays.titles() == ["ground truth", "pseudo labels"]
    assert overlays.kinds() == [BoxKind.TRUTH, BoxKind.PSEUDO]
    drawn = overlays.at(100, 50.0)
    assert [(box.panel, box.text) for box in drawn] == [(0, "car"), (1, "car"), (1, "car 0.50"), (1, "bus 0.90")]
    assert Overlays(track(ROWS[0])).titles() == ["labels"]


@pytest.mark.parametrize("scale", [1, 3])
def test_panels_show_the_same_events_and_their_own_boxes(scale: int) -> None:
    painter = Painter(DARK, (40, 60), None, titles=("one", "two", "three"))
    height, width = painter.size(scale)
    counts = np.zeros((2, 40, 60), np.int64)
    counts[1, 35, 50] = 9
    box = DrawnBox((10, 10, 30, 30), BoxKind.PREDICTION, 0, trail=((5, 5), (20, 20)), panel=1)
    picture = painter.paint(Moment(counts, [box], 0.0), height, width)
    assert picture.shape == (height, width, 3)
    each = (width - 60 * scale * 3) // 2 + 60 * scale
    panels = [picture[:, k * each : k * each + 60 * scale] for k in range(3)]
    coloured = [(panel == np.array(DARK.class_colour(0))).all(axis=-1).sum() for panel in panels]
    assert coloured[0] == coloured[2] == 0
    assert coloured[1] > 60 * scale
    assert all(tuple(panel[35 * scale, 50 * scale]) == DARK.on for panel in panels)
    assert tuple(picture[0, 60 * scale]) == DARK.gap


def test_events_stand_out_from_a_grey_picture_of_any_size() -> None:
    counts = np.zeros((2, 4, 6), np.int64)
    counts[0, 1, 1] = 1
    events = np.zeros((4, 6, 3), np.uint8)
    events[1, 1] = DARK.off
    shown = over_picture(events, counts, np.full((8, 12), 200, np.uint8), DARK)
    assert tuple(shown[1, 1]) == DARK.off
    assert tuple(shown[0, 0]) == (128, 130, 134)
