from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.pictures.boxes import Area, BoxKind, DrawnBox, Metrics, _overlap, _tag, draw_boxes
from utils.pictures.drawing import DARK, LIGHT, THEMES, event_table
from utils.pictures.overlay import draw_caption, draw_legend, has_room, plates, theme_palette


def ground(height=120, width=160, theme=DARK):
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = theme.background
    return image


def painted(image, theme=DARK):
    return (image != np.array(theme.background, np.uint8)).any(axis=-1)


def share_of(image, row, x1, x2, colour):
    return float((image[row, x1 : x2 + 1] == np.array(colour, np.uint8)).all(axis=-1).mean())


def test_predictions_have_whole_lines_in_the_colour_of_the_class():
    image = ground()
    draw_boxes(image, [DrawnBox((20, 30, 100, 90), BoxKind.PREDICTION, 1)], DARK)
    for row in (30, 90):
        assert share_of(image, row, 20, 100, DARK.class_colour(1)) == 1.0
    assert not painted(image)[40:80, 30:90].any()


@pytest.mark.parametrize("kind", [BoxKind.TRUTH, BoxKind.PSEUDO, BoxKind.IGNORED])
def test_other_boxes_are_dashed_with_their_corners_drawn(kind):
    image = ground()
    draw_boxes(image, [DrawnBox((20, 30, 100, 90), kind, 1)], DARK)
    colour = kind.colour(DARK, 1)
    assert 0.3 < share_of(image, 30, 20, 100, colour) < 0.8
    for x, y in ((20, 30), (100, 30), (20, 90), (100, 90)):
        assert tuple(image[y, x]) == colour


def test_kinds_differ_from_each_other():
    for theme in THEMES.values():
        assert len({BoxKind.TRUTH.colour(theme, c) for c in range(5)}) == 1
        assert theme.truth not in theme.classes
        assert theme.ignored not in theme.classes


def test_tags_of_predictions_are_above_and_of_ground_truth_below():
    above, below = ground(), ground()
    draw_boxes(above, [DrawnBox((20, 40, 100, 80), BoxKind.PREDICTION, 0, "car 0.87")], DARK)
    draw_boxes(below, [DrawnBox((20, 40, 100, 80), BoxKind.TRUTH, 0, "car")], DARK)
    assert painted(above)[:39].any()
    assert not painted(above)[82:].any()
    assert painted(below)[82:].any()
    assert not painted(below)[:39].any()


def test_faded_boxes_are_nearer_to_the_ground():
    full, faded = ground(), ground()
    box = DrawnBox((20, 40, 100, 80), BoxKind.TRUTH, 0)
    draw_boxes(full, [box], DARK)
    draw_boxes(faded, [DrawnBox(box.xyxy, box.kind, 0, strength=0.4)], DARK)
    assert 0 < painted(faded).sum() == painted(full).sum()
    assert faded.sum() < full.sum()


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.floats(width=32) for _ in range(4)]),
    st.sampled_from(list(BoxKind)),
    st.integers(0, 2000),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
def test_any_box_can_be_drawn(corners, kind, class_id, size):
    image = ground(*size)
    draw_boxes(image, [DrawnBox(corners, kind, class_id, "two-wheeler 0.50")], LIGHT)
    if any(math.isnan(value) for value in corners):
        assert not painted(image).any()


def test_boxes_outside_leave_no_trace():
    image = ground()
    draw_boxes(image, [DrawnBox((200, 10, 260, 40), BoxKind.PREDICTION, 0, "car")], DARK)
    assert not painted(image).any()


def test_scaled_boxes():
    assert DrawnBox((1, 2, 3, 4), BoxKind.TRUTH, 0).scaled(2, 3).xyxy == (2, 6, 6, 12)


def test_room_for_a_legend():
    assert has_room(ground(260, 346))
    assert not has_room(ground(128, 160))


@pytest.mark.parametrize("theme", list(THEMES.values()), ids=list(THEMES))
@pytest.mark.parametrize("size", [(200, 260), (260, 346), (720, 1280)])
def test_caption_and_legend_stay_in_their_corners(theme, size):
    image = ground(*size, theme)
    draw_caption(image, "12.35 s", theme)
    draw_legend(image, list(BoxKind), theme)
    touched = painted(image, theme)
    height, width = size
    assert touched[0, 0]
    assert touched[-1, 0]
    assert not touched[height // 8 : -height // 8].any()
    assert not touched[: height // 8, width // 2 :].any()
    for colour in (theme.on, theme.off):
        assert (image == np.array(colour, np.uint8)).all(axis=-1).any()


@pytest.mark.parametrize("theme", list(THEMES.values()), ids=list(THEMES))
def test_palette_holds_the_colours_that_matter(theme):
    palette = theme_palette(theme)
    assert len(palette) <= 256
    assert {tuple(int(v) for v in colour) for colour in event_table(theme).reshape(-1, 3)} <= set(palette)
    assert {*theme.classes, theme.truth, theme.text, theme.panel} <= set(palette)


def test_tags_do_not_cover_each_other_nor_the_legend() -> None:
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    boxes = [
        DrawnBox((100.0 + 6 * i, 150.0 + 4 * i, 180.0 + 6 * i, 220.0 + 4 * i), BoxKind.PREDICTION, i, f"class {i} 0.9")
        for i in range(3)
    ]
    metrics, covered = Metrics.of(image), plates(image)
    areas: list[Area] = []
    for box in boxes:
        areas.append(_tag(image, box, DARK, metrics, [*covered, *areas]))
    assert not any(_overlap(one, other) for index, one in enumerate(areas) for other in [*areas[:index], *covered])
