from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.pictures.drawing import (
    DARK,
    FEW_EVENTS,
    LIGHT,
    THEMES,
    contact_sheet,
    count_events,
    draw_events,
    event_table,
    exposure,
    scale_events,
    sheet_columns,
    sheet_gap,
)


def lightness(colour) -> float:
    return float(np.dot(colour, (0.299, 0.587, 0.114)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.integers(0, 2**31))
def test_counts_hold_every_event_once(number, seed):
    rng = np.random.default_rng(seed)
    x, y, p = rng.integers(0, 7, number), rng.integers(0, 5, number), rng.integers(0, 2, number)
    expected = np.zeros((2, 5, 7), dtype=int)
    for event in zip(p, y, x, strict=True):
        expected[event] += 1
    got = count_events(x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8), 5, 7)
    np.testing.assert_array_equal(got, expected)


def test_events_outside_the_sensor_are_left_out():
    x, y, p = np.array([6, 7, 0], np.uint16), np.array([0, 0, 5], np.uint16), np.ones(3, np.uint8)
    assert count_events(x, y, p, 5, 7).sum() == 1


@pytest.mark.parametrize("theme", list(THEMES.values()), ids=list(THEMES))
def test_colours_of_events(theme):
    counts = np.zeros((2, 1, 5), dtype=np.int64)
    counts[1, 0, 1], counts[0, 0, 2] = 1000, 1000
    counts[1, 0, 3] = 1
    counts[0, 0, 4] = counts[1, 0, 4] = 1
    image = draw_events(counts, theme)[0]
    assert tuple(image[0]) == theme.background
    assert tuple(image[1]) == theme.on
    assert tuple(image[2]) == theme.off
    # One event is between the ground and many events.
    ground, one, many = (lightness(colour) for colour in (theme.background, image[3], theme.on))
    assert min(ground, many) < one < max(ground, many)
    assert abs(one - ground) > 0.6 * abs(many - ground)
    assert tuple(image[4]) not in {theme.background, theme.on, theme.off}


def test_on_and_off_differ_in_lightness_on_dark_ground():
    # Videos keep lightness at full resolution and colour at half.
    ground, on, off = lightness(DARK.background), lightness(DARK.on), lightness(DARK.off)
    assert on - off > 60
    assert off - ground > 60


def test_table_has_one_colour_per_pair_of_counts():
    assert event_table(LIGHT).shape == (7, 7, 3)


def test_exposure_follows_the_rate_of_events():
    sparse, dense = np.zeros((2, 8, 8), dtype=np.uint8), np.full((2, 8, 8), 200, dtype=np.uint8)
    sparse[1, 2, 3] = 1
    dense[0, :4] = 20
    assert exposure(np.zeros((2, 4, 4), dtype=int)) == exposure(sparse) == FEW_EVENTS
    assert exposure(dense) == 200
    for theme in THEMES.values():
        image = draw_events(dense, theme, exposure(dense))
        assert tuple(image[6, 0]) == theme.both
        more_on = image[0, 0].astype(int)  # not the mixture, though both are many
        assert np.abs(more_on - theme.on).sum() < np.abs(more_on - theme.both).sum()


def test_growing_keeps_pixels_sharp():
    image = draw_events(np.random.default_rng(0).integers(0, 3, (2, 6, 8)), DARK)
    grown = scale_events(image, 18, 24, DARK)
    np.testing.assert_array_equal(grown, image.repeat(3, axis=0).repeat(3, axis=1))


def test_shrinking_keeps_lone_events_visible_and_dense_areas_unchanged():
    counts = np.zeros((2, 40, 40), dtype=np.int64)
    counts[1, 10, 10] = 10
    counts[0, 20:, 20:] = 10
    small = scale_events(draw_events(counts, DARK), 10, 10, DARK).astype(int)
    ground = np.array(DARK.background)
    np.testing.assert_allclose(small[6:9, 6:9], np.broadcast_to(DARK.off, (3, 3, 3)), atol=2)
    assert np.abs(small[2, 2] - ground).max() > 40
    assert np.abs(small[8, 1] - ground).max() <= 1
    assert small.max() <= 255


def test_scaling_to_the_same_size_gives_a_copy():
    image = draw_events(np.zeros((2, 4, 4), dtype=int), DARK)
    same = scale_events(image, 4, 4, DARK)
    same[:] = 0
    assert image.any()


def test_sheet_lays_images_out_row_by_row():
    images = [np.full((10, 20, 3), value, dtype=np.uint8) for value in (1, 2, 3, 4, 5)]
    sheet = contact_sheet(images, DARK, columns=3)
    gap = sheet_gap(10, 20)
    assert sheet.shape == (2 * 10 + 3 * gap, 3 * 20 + 4 * gap, 3)
    assert tuple(sheet[0, 0]) == DARK.gap
    assert sheet[gap, gap, 0] == 1
    assert sheet[gap, gap + 2 * (20 + gap), 0] == 3
    assert sheet[2 * gap + 10, gap + 20 + gap, 0] == 5
    assert tuple(sheet[-gap - 1, -gap - 1]) == DARK.gap


@pytest.mark.parametrize("count", range(1, 13))
def test_columns_fit_the_number_of_images(count):
    columns = sheet_columns(count, 260, 346)
    assert 1 <= columns <= count
    assert contact_sheet([np.zeros((26, 34, 3), np.uint8)] * count, LIGHT).ndim == 3
