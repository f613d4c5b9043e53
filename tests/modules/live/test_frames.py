"""What a live detector takes as a frame, and what it refuses instead of misreading it."""

from __future__ import annotations

import logging
import tomllib

import numpy as np
import pytest
import torch

from data.events.types import Events
from modules.live.frames import FrameMaker
from tests.helpers.commands import REPOSITORY
from utils.errors import UserError

DATASET = {
    "sensor_hw": (16, 20),
    "downsample_by_factor_2": True,
    "representation": {"kind": "stacked_histogram", "bins": 2, "count_cutoff": 10, "dt_ms": 50},
}
T = np.arange(4) * 10_000


def of(t: np.ndarray = T, p: np.ndarray = T % 2) -> Events:
    return Events(t, *(np.zeros(len(t), np.uint16) for _ in "xy"), p)


@pytest.mark.parametrize(
    ("given", "expected", "fix"),
    [
        ("x", r"\[4, 8, 10\]", "from_arrays"),
        (np.zeros((4, 16, 20), np.uint8), "half the sensor's", "frame[:, 1::2, 1::2]"),
        (np.zeros((4, 8, 10), np.float32), "uint8", "the counts"),
        (of(T / 1e6), "whole numbers", "1e6"),
        (Events(T, T.astype(float), T, T), "whole numbers", "from_arrays"),
        (Events(T, -T, T, T % 2), "from 0 on", "leave"),
        (of(p=np.array([-1, 1, 1, -1])), "polarity 1", "from_arrays"),
        (of(T[::-1]), "order of time", "in_order"),
    ],
)
def test_what_would_be_misread_is_refused(given: object, expected: str, fix: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        FrameMaker(DATASET).frame(given)
    assert fix in caught.value.fix


def test_frames_and_tensors_pass_and_long_windows_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    frames = FrameMaker(DATASET)
    assert frames.sensor_pixels == 2
    frame = np.ones(frames.shape, np.uint8)
    assert frames.frame(frame) is frame
    np.testing.assert_array_equal(frames.frame(torch.from_numpy(frame)), frame)
    with caplog.at_level(logging.WARNING):
        for events in (Events.empty(), of(), of(100 * T), of(100 * T)):
            assert frames.frame(events).shape == frames.shape
    (told,) = caplog.messages
    assert "3000 ms" in told
    assert "50 ms" in told


def test_times_in_seconds_do_not_become_zeros() -> None:
    with pytest.raises(UserError, match="whole microseconds"):
        Events.from_arrays(T / 1e6, T, T, T)
    assert Events.from_arrays(T.astype(float), T, T, T).t.tolist() == T.tolist()


def test_an_editable_installation_has_every_room_that_the_detector_needs() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    rooms = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")} - {"scripts", "tests"}
    assert set(project["tool"]["setuptools"]["packages"]["find"]["include"]) == {f"{room}*" for room in rooms}
