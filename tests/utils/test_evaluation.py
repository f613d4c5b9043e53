"""The Prophesee evaluator against the reference's numbers, pycocotools, and its own rules."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.forked_processes import together
from tests.helpers.golden_files import GOLDEN, load_golden
from utils.boxes import BBOX_DTYPE, PROPHESEE_DTYPE
from utils.errors import UserError
from utils.evaluation.coco import METRICS, average_precision
from utils.evaluation.convert import detections_to_boxes
from utils.evaluation.prophesee import PropheseeEvaluator
from utils.evaluation.windows import Windows, gather_windows, protocol_mask

CASES = ["gen1", "gen1_ties", "gen1_crowd", "gen4_ds2", "gen4_full", "gen1_onlycars"]
LIMITS = {"gen1": (240, 304, 30, 10, ("car", "ped")), "gen4": (720, 1280, 60, 20, ("ped", "cyc", "car"))}


@pytest.fixture(scope="module")
def arrays():
    return load_golden("07_evaluator")


@pytest.fixture(scope="module")
def expected():
    return json.loads((GOLDEN / "07_evaluator.json").read_text())


def frames(arrays, key):
    return np.split(arrays[key], np.cumsum(arrays[f"{key}_n"])[:-1])


def evaluator(camera, downsampled=False, filtered=True, **kwargs):
    height, width, diag, side, classes = LIMITS[camera]
    if not filtered:
        diag = side = 0
        kwargs["skip_us"] = -1
    return PropheseeEvaluator(classes, height, width, diag, side, downsampled=downsampled, **kwargs)


@pytest.mark.parametrize("figures", ["metrics", "metrics_no_filter"])
@pytest.mark.parametrize("case", CASES)
def test_equals_reference_frame_by_frame(arrays, expected, case, figures):
    info = expected[case]
    measured = evaluator(info["camera"], info["downsampled_by_2"], figures == "metrics")
    measured.add(frames(arrays, f"{case}/gt"), frames(arrays, f"{case}/dt"))
    result = measured.compute()
    for name, value in info[figures].items():
        assert result[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize(("case", "tolerance", "filtered"), [("", 50_000, True), ("_10ms_nofilter", 10_000, False)])
def test_equals_reference_on_recordings(arrays, expected, case, tolerance, filtered):
    measured = evaluator("gen1", filtered=filtered, time_tol_us=tolerance)
    measured.add(frames(arrays, "rec/gt"), frames(arrays, "rec/dt"))
    result = measured.compute(extra=False)
    for name, value in expected[f"recordings_time_tol{case}"].items():
        assert result[name] == pytest.approx(value, abs=1e-12), name


def test_windows_equal_reference(arrays):
    gt, dt = frames(arrays, "rec/gt")[0], frames(arrays, "rec/dt")[0]
    windows = gather_windows(gt, np.zeros(len(gt), int), dt, np.zeros(len(dt), int), 50_000)
    assert np.bincount(windows.gt_window, minlength=windows.count).tolist() == arrays["rec0/win_gt_n"].tolist()
    assert np.bincount(windows.dt_window, minlength=windows.count).tolist() == arrays["rec0/win_dt_n"].tolist()
    for name in ("t", "x", "class_confidence"):
        np.testing.assert_array_equal(windows.gt[name], arrays["rec0/win_gt"][name])
        np.testing.assert_array_equal(windows.dt[name], arrays["rec0/win_dt"][name])


@pytest.mark.parametrize(("camera", "downsampled"), [("gen1", False), ("gen4", False)])
def test_filter_equals_reference_at_exact_thresholds(arrays, camera, downsampled):
    _, _, diag, side, _ = LIMITS[camera]
    np.testing.assert_array_equal(
        protocol_mask(arrays["filter/in"], 500_000, diag, side), arrays[f"filter/{camera}_keep"]
    )


def test_detections_as_records_equal_reference(arrays):
    boxes, expected_boxes = detections_to_boxes(arrays["to_proph/pred_in"], 20_000_000), arrays["to_proph/pred_out"]
    for name in PROPHESEE_DTYPE.names:
        np.testing.assert_array_equal(boxes[name], expected_boxes[name])


def box(t, x, class_id=0, confidence=1.0, objectness=1.0, size=40):
    return np.array([(t, x, 20, size, size, class_id, confidence, objectness)], dtype=BBOX_DTYPE)


NOTHING = np.zeros(0, dtype=BBOX_DTYPE)


def test_no_detections_give_zeros(arrays, expected):
    measured = evaluator("gen1")
    measured.add([box(10**6, 10)], [NOTHING])
    result = measured.compute()
    assert {name: result[name] for name in expected["no_detections"]} == expected["no_detections"]


def test_nothing_at_all_gives_zeros():
    assert set(evaluator("gen1").compute().values()) == {0.0}


def test_strict_figures_count_frames_without_labels():
    measured = evaluator("gen1")
    # Frame 2 has no label, frame 3 none of class 0: the protocol does not see their false positives of class 0.
    measured.add(
        [box(10**6, 10), NOTHING, box(10**6, 100, class_id=1)],
        [box(10**6, 10, confidence=0.5), box(10**6, 50, confidence=0.9), box(10**6, 100, confidence=0.8)],
    )
    result = measured.compute()
    assert result["AP_50_car"] == pytest.approx(1.0)
    assert result["strict_AP_50_car"] == pytest.approx(1 / 3, abs=0.01)
    assert result["AP_50"] == pytest.approx((0.5 + 0.0) / 2, abs=0.01)
    assert result["strict_AP_50"] < result["AP_50"]


def test_score_product_ranks_by_objectness_too():
    gt = [box(10**6, 10)]
    dt = [
        np.concatenate(
            [box(10**6, 10, confidence=0.5, objectness=0.9), box(10**6, 150, confidence=0.9, objectness=0.1)]
        )
    ]
    by_class, by_product = evaluator("gen1"), evaluator("gen1", score="product")
    by_class.add(gt, dt)
    by_product.add(gt, dt)
    first, second = by_class.compute(), by_product.compute()
    assert first["AP_50"] == second["class_AP_50"] == pytest.approx(0.5, abs=0.01)
    assert first["product_AP_50"] == second["AP_50"] == pytest.approx(1.0)


def test_state_and_merge_give_the_same_figures(arrays):
    whole, first, second = evaluator("gen1"), evaluator("gen1"), evaluator("gen1")
    gt, dt = frames(arrays, "gen1_ties/gt"), frames(arrays, "gen1_ties/dt")
    whole.add(gt, dt)
    first.add(gt[:70], dt[:70])
    second.add(gt[70:], dt[70:])
    first.merge(second.state())
    first.merge(evaluator("gen1").state())
    assert len(first) == len(whole) == 200
    assert first.compute() == whole.compute()


def test_ignored_labels_and_broken_detections_do_not_count(caplog):
    measured = evaluator("gen1")
    broken = box(10**6, 10, confidence=float("nan"))
    measured.add(
        [np.concatenate([box(10**6, 10), box(10**6, 90, class_id=1024)])], [np.concatenate([broken, box(10**6, 10)])]
    )
    assert measured.compute()["AP"] == pytest.approx(1.0)
    assert "not finite" in caplog.text


def test_mistakes_are_explained():
    with pytest.raises(UserError, match="class or product"):
        evaluator("gen1", score="sum")
    with pytest.raises(UserError, match="objectness"):
        evaluator("gen1", score="product").add([NOTHING], [np.zeros(1, dtype=PROPHESEE_DTYPE)])
    with pytest.raises(UserError, match="one per array"):
        evaluator("gen1").add([NOTHING], [])
    with pytest.raises(UserError, match="class name"):
        PropheseeEvaluator([], 240, 304, 30, 10)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 3))
def test_equals_pycocotools(seed, count, classes):
    rng = np.random.default_rng(seed)

    def random_boxes(number):
        boxes = np.zeros(number, dtype=BBOX_DTYPE)
        boxes["x"], boxes["y"] = rng.integers(0, 60, (2, number))
        boxes["w"], boxes["h"] = rng.integers(10, 120, (2, number))
        boxes["class_id"] = rng.integers(0, classes, number)
        boxes["class_confidence"] = rng.integers(1, 10, number) / 10
        return boxes

    gt, dt = random_boxes(3 * count), random_boxes(8 * count)
    windows = Windows(
        gt,
        np.sort(rng.integers(0, count, len(gt))),
        dt,
        np.sort(rng.integers(0, count, len(dt))),
        count,
        np.arange(count),
    )
    ours = average_precision(windows, dt["class_confidence"].astype(float), classes)[0]
    np.testing.assert_allclose(ours, oracle(windows, classes), atol=1e-9)


def test_a_hundred_detections_of_a_class_count_and_forked_processes_say_the_same(tmp_path):
    rng = np.random.default_rng(0)
    dt = np.zeros(400, dtype=BBOX_DTYPE)
    dt["x"], dt["w"], dt["h"] = rng.integers(0, 60, 400), 40, 40
    dt["class_id"], dt["class_confidence"] = rng.integers(0, 2, 400), rng.integers(1, 50, 400) / 50
    windows = Windows(dt[:6], np.arange(6) // 3, dt, np.arange(400) // 250, 2, np.arange(2))

    def figures():
        return average_precision(windows, dt["class_confidence"].astype(float), 2)

    def write(path):
        path.write_bytes(figures().tobytes())

    np.testing.assert_allclose(figures()[0], oracle(windows, 2), atol=1e-9)
    # Threads that the library has started by now are not those of a forked process.
    assert together(1, tmp_path, lambda: together(1, tmp_path, write, tmp_path / "ap")[0], timeout=20) == [0]
    assert (tmp_path / "ap").read_bytes() == figures().tobytes()


def oracle(windows, classes):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(boxes, window):
        return [
            {"id": i + 1, "image_id": int(window[i]) + 1, "category_id": int(b["class_id"]) + 1, "iscrowd": 0,
             "bbox": [float(b[k]) for k in "xywh"],
             "area": float(b["w"]) * float(b["h"]), "score": float(b["class_confidence"])}
            for i, b in enumerate(boxes)
        ]  # fmt: skip

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {}, "images": [{"id": i + 1} for i in range(windows.count)],
            "categories": [{"id": i + 1} for i in range(classes)], "annotations": rows(windows.gt, windows.gt_window),
        }  # fmt: skip
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(rows(windows.dt, windows.dt_window)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[: len(METRICS)]
