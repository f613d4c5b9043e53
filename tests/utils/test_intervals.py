"""Figures of weighted recordings against the library's, and the intervals that they give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.evaluation.intervals import differences, interval_line, intervals, why_no_differences
from utils.evaluation.prophesee import PropheseeEvaluator
from utils.evaluation.recordings import RECALLS, labels_needed, load_recordings


def boxes(rng, count, t, classes, steps):
    """Boxes on a coarse grid: overlaps at the thresholds, boxes twice, equal scores, some too small."""
    found = np.zeros(count, BBOX_DTYPE)
    found["t"], found["class_id"] = t, rng.integers(0, classes, count)
    found["x"], found["y"] = 10 * rng.integers(0, 8, (2, count))
    found["w"], found["h"] = 10 * rng.integers(1, 8, (2, count))
    found["class_confidence"], found["objectness"] = rng.integers(1, steps, (2, count)) / steps
    return found


def made(seed, classes, recordings, steps=10, most=15):
    """Frames as (recording, labels, detections): also without boxes, ignored labels, and too early."""
    rng = np.random.default_rng(seed)
    frames = []
    for recording in range(recordings):
        for number in range(rng.integers(0, 5)):
            t = 400_000 + 150_000 * number
            labels = boxes(rng, rng.integers(0, 6), t, classes + 1, steps)
            hit = labels[(rng.random(len(labels)) < 0.7) & (labels["class_id"] < classes)]
            hit["x"] += rng.integers(-3, 4, len(hit))
            hit["class_confidence"] = rng.integers(1, steps, len(hit)) / steps
            frames.append(
                (f"r{recording}", labels, np.append(boxes(rng, rng.integers(0, most), t, classes, steps), hit))
            )
    return frames


def evaluated(frames, classes, score="class"):
    evaluator = PropheseeEvaluator([f"c{at}" for at in range(classes)], 240, 304, 25, 10, score=score)
    evaluator.add([labels for _, labels, _ in frames], [detections for *_, detections in frames])
    return evaluator, evaluator.by_recording([name for name, *_ in frames])


def same(figures, expected):
    for name, value in figures.items():
        if np.isnan(value):
            assert expected[name] in (-1, 0), name
        else:
            assert value == pytest.approx(expected[name], abs=1e-9), name


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_library(seed):
    classes = 1 + seed % 3
    frames = made(seed, classes, 5, 3 + 2 * seed, 250 if seed % 5 == 0 else 15)
    evaluator, recordings = evaluated(frames, classes, ("class", "product")[seed % 2])
    figures = {name: values[0] for name, values in recordings.figures(np.ones((1, len(recordings.names)))).items()}
    assert {"AP", "AP_50", ("product_AP", "class_AP")[seed % 2]} <= set(figures)
    same(figures, evaluator.compute())


def test_a_recall_is_reached_where_the_quotient_says_so():
    labels = np.arange(1, 401)
    quotients = np.arange(1, 401) / labels[:, None]
    reached = (quotients[:, :, None] >= RECALLS).argmax(axis=1) + 1  # [labels, recalls]
    np.testing.assert_array_equal(labels_needed(labels), reached.T)


def test_weights_are_copies():
    frames = made(1, 2, 6, steps=10**6)  # no two scores are equal, so that the order of copies is that of one
    _, recordings = evaluated(frames, 2)
    weights = np.random.default_rng(0).integers(0, 4, (70, len(recordings.names)))  # more than go side by side
    figures = recordings.figures(weights)
    for at in (0, 1, 2, 69):
        copies = dict(zip(recordings.names, weights[at], strict=True))
        frames_of_all = [frame for frame in frames for _ in range(copies.get(frame[0], 0))]
        same({name: values[at] for name, values in figures.items()}, evaluated(frames_of_all, 2)[0].compute())


def test_what_is_kept_gives_the_same(tmp_path):
    _, recordings = evaluated(made(2, 2, 7), 2)
    recordings.save(tmp_path / "r.npz")
    again = load_recordings(tmp_path / "r.npz")
    assert intervals(again, 20) == intervals(recordings, 20)
    assert (again.names, again.classes) == (recordings.names, recordings.classes)
    with np.load(tmp_path / "r.npz") as file:
        arrays = dict(file)
    for name, value in (
        ("recording_0", arrays["recording_0"] + 9), ("first_0", arrays["first_0"][::-1]), ("labels", arrays["names"]),
        ("hits_1", arrays["hits_1"][1:]), ("prefixes", arrays["prefixes"][1:]), ("names", arrays["names"][1:]),
    ):  # fmt: skip
        np.savez(tmp_path / "bad.npz", **{**arrays, name: value})
        with pytest.raises(UserError, match="evaluate again"):
            load_recordings(tmp_path / "bad.npz")


def one_label_each(right):
    """Recordings of one label; the detector finds it or nothing."""
    frames = []
    for at, found in enumerate(right):
        label = np.array([(10**6, 10, 20, 40, 40, 0, 0.5 + 0.01 * at, 1)], BBOX_DTYPE)
        frames.append((f"r{at}", label, label if found else label[:0]))
    return evaluated(frames, 1)[1]


def test_intervals():
    told = intervals(one_label_each([1, 0] * 10))
    assert (told["recordings"], told["resamples"]) == (20, 1000)
    low, high = told["figures"]["AP_50"]
    # As many labels found as a coin shows heads in 20 throws.
    assert low == pytest.approx(0.3, abs=0.06)
    assert high == pytest.approx(0.7, abs=0.06)
    assert intervals(one_label_each([1] * 8), 50)["figures"]["AP"] == [1, 1]
    few = intervals(one_label_each([1, 0, 1, 1]))
    assert few["figures"] == {}
    assert "at least 5" in interval_line(few, {"AP": 0.75})


def test_differences_take_the_same_resamples():
    one, other = one_label_each([1, 0] * 10), one_label_each([1, 1, 1, 0] * 5)
    assert set(differences(one, one, 50).values()) == {(0, 0, 0)}
    value, low, high = differences(one, other)["AP"]
    assert value == pytest.approx(0.25, abs=0.01)
    assert 0 < low < value < high
    # One that is never worse differs less than two that have nothing to do with each other.
    ends = [intervals(each)["figures"]["AP"] for each in (one, other)]
    assert high - low < np.hypot(*(top - bottom for bottom, top in ends))


def test_why_there_are_no_differences():
    one = one_label_each([1] * 6)
    assert why_no_differences(one, one_label_each([0] * 6)) is None
    assert "same recordings" in str(why_no_differences(one, one_label_each([1] * 7)))
    others = replace(one, labels=one.labels + 1)
    assert "same labels" in str(why_no_differences(one, others))
    assert "at least 5" in str(why_no_differences(*[one_label_each([1] * 3)] * 2))


def test_nothing_at_all():
    evaluator = PropheseeEvaluator(["car"], 240, 304, 30, 10)
    assert intervals(evaluator.by_recording([]))["recordings"] == 0
    with pytest.raises(UserError, match="one per frame"):
        evaluator.by_recording(["a"])
