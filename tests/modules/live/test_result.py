"""What a detector gives back, what it takes as events, and the same boxes by all ways to them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data.events.recording import ArrayRecording
from data.events.types import Events
from modules.evaluation.collector import DetectionCollector
from modules.live.onnx import OnnxStream
from modules.live.result import Found
from modules.live.streaming_detector import StreamingDetector
from modules.live.windows import events_of
from tests.helpers.commands import SMALL, run
from tests.helpers.made_once import MadeOnce
from utils.errors import UserError
from utils.pictures.drawing import DARK

X, Y, T, P = np.array([3, 4, 5]), np.array([1, 2, 3]), np.array([10, 20, 30]), np.array([1, 0, 1])
ROWS = np.array([[2, 2, 12, 10, 0.5, 0.8, 1], [0, 0, 4, 4, 1, 0.1, 8]], dtype=np.float32)


def structured() -> np.ndarray:
    rows = np.zeros(3, dtype=[("timestamp", "<i8"), ("x", "<u2"), ("y", "<u2"), ("polarity", "?")])
    rows["timestamp"], rows["x"], rows["y"], rows["polarity"] = T, X, Y, P
    return rows


@pytest.mark.parametrize(
    "given",
    [
        (X, Y, T, P),
        [X.tolist(), Y.tolist(), T.tolist(), P.tolist()],
        (X.astype(float), Y, T.astype(float), 2 * P - 1),
        {"t": T, "x": X, "y": Y, "p": P, "camera": "left"},
        structured(),
        Events.from_arrays(T, X, Y, P),
    ],
)
def test_events_come_in_many_forms(given: object) -> None:
    events = events_of(given)
    assert events is not None
    for name, wanted in {"x": X, "y": Y, "t": T, "p": P}.items():
        np.testing.assert_array_equal(getattr(events, name), wanted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ts": T, "u": X, "v": Y, "p": P}, r"ts, u, v, p: x, y missing"),
        (structured()[["x", "y"]], r"x, y: t, p missing"),
        ((X, Y, T), "3 of them"),
        ((T * 100_000, X, Y, P), r"x from 1e\+06 to 3e\+06"),
        ((X, Y, P, T), "p from 10 to 30"),
        ((X, Y, T[:2], P), r"t \[2\]"),
        ((1, 2, 3, 1), "one-dimensional"),
        ((X, Y, T / 1e6, P), "microseconds"),
        ((X, Y + 0.5, T, P), r"y from 1\.5"),
        ((X, Y, ["now"] * 3, P), "t of type"),
    ],
)
def test_what_are_no_events_is_told(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        events_of(given)


def test_frames_are_no_events() -> None:
    assert events_of(np.zeros((4, 8, 10), np.uint8)) is None
    assert events_of(torch.zeros(4, 8, 10)) is None


def test_a_result_is_read_by_names_and_as_an_array() -> None:
    frame = np.zeros((4, 16, 20), np.uint8)
    frame[2, 15, 19] = 9
    found = Found(ROWS, ["car", "pedestrian"], frame, (32, 40))
    np.testing.assert_array_equal(found.boxes, ROWS[:, :4])
    np.testing.assert_allclose(found.scores, [0.4, 0.1])
    assert (found.class_ids.tolist(), found.names) == ([1, 8], ["pedestrian", "class 8"])
    assert (len(found), found.shape, [len(row) for row in found]) == (2, (2, 7), [7, 7])
    np.testing.assert_array_equal(np.asarray(found), found.to_array())
    np.testing.assert_array_equal(found[:, 4], ROWS[:, 4])
    picture = found.plot(scale=1)
    assert picture.shape == (32, 40, 3)
    assert tuple(picture[31, 39]) == DARK.on  # the event, twice as large as in the frame
    assert tuple(found.plot(scale=10, min_score=0.3)[100, 20]) == DARK.class_colour(1)
    assert not (found.plot(scale=10, min_score=0.3) == np.array(DARK.class_colour(8))).all(axis=-1).any()
    assert repr(found) == "Found(pedestrian 0.40, class 8 0.10)"


def test_a_picture_that_cannot_be_is_refused() -> None:
    found = Found(ROWS[:0], ["car"], np.zeros((4, 16, 20), np.uint8), (32, 40), time_us=50_000)
    assert repr(found) == "Found(nothing; time_us=50000)"
    for wrong in ({"theme": "pink"}, {"scale": 0}, {"scale": -1}, {"scale": math.nan}, {"min_score": "much"}):
        with pytest.raises(UserError, match="expected") as caught:
            found.plot(**wrong)
        assert caught.value.where in wrong


def test_a_recording_is_watched_window_by_window(made_once: MadeOnce) -> None:
    detector = StreamingDetector.from_checkpoint(made_once.teacher(), confidence_threshold=0.0001)
    rng = np.random.default_rng(0)
    columns = (rng.integers(0, size, 3000) for size in (160, 128, 2))
    t = np.linspace(1_000_000, 1_200_000, 3000).astype(np.int64)
    recording = ArrayRecording("made", Events.from_arrays(t, *columns), (128, 160))
    by_step = [detector.step(recording.read(end - 50_000, end)) for end in range(1_050_000, 1_200_001, 50_000)]
    kept = detector.states
    found = list(detector.detect(recording))
    for given, wanted in zip(found, by_step, strict=True):
        np.testing.assert_array_equal(given, wanted)
    assert [given.time_us for given in found] == [1_050_000, 1_100_000, 1_150_000, 1_200_000]
    assert detector.states is kept
    with pytest.raises(UserError, match=r"sensor_hw=\(64, 160\)"):
        detector.detect(ArrayRecording("other", recording.events, (64, 160)))


def test_boxes_are_those_of_val_in_python_and_as_an_onnx_file(
    made_once: MadeOnce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, teacher, file = made_once.dataset(), made_once.teacher(), tmp_path / "teacher.onnx"
    seen: list[np.ndarray] = []
    monkeypatch.setattr(DetectionCollector, "add_detections", lambda _, key, rows, *__: seen.append(rows.numpy()))
    monkeypatch.setattr(DetectionCollector, "compute", lambda *_, **__: {})
    settings = ("hardware.accelerator=cpu", "model.postprocess.confidence_threshold=0.01")
    assert run("val.py", *SMALL, f"dataset.path={dataset}", f"checkpoint={teacher}", *settings) == 0
    detector = StreamingDetector.from_checkpoint(teacher, confidence_threshold=0.01)
    found = list(detector.detect(dataset / "val" / "val_00"))
    assert len(found) == len(seen) == 24
    assert sum(map(len, found)) > 24

    assert run("scripts/export_onnx.py", str(teacher), "--output", str(file), "--frames", "1") == 0
    stream = OnnxStream(file, threads=1)
    factor = int(stream.session.get_modelmeta().custom_metadata_map["sensor_pixels_per_box_pixel"])
    assert factor == 2
    for ours, theirs in zip(found, seen, strict=True):
        predictions = torch.from_numpy(stream.step(ours.frame[None]))
        (exported,) = detector.network.detector.boxes(predictions, 0.01, detector.nms_threshold)
        for rows in (theirs, exported.numpy()):
            scaled = rows * ([factor] * 4 + [1] * 3)
            np.testing.assert_allclose(ours.to_array(), scaled, atol=1e-3, rtol=1e-4)
