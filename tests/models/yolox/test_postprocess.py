"""Detections against golden rows and at the borders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detection.yolox.postprocess import postprocess, suppress_together
from tests.models.conftest import load_golden
from utils.boxes import Detection


def as_set(rows):
    """Rows in an order that does not depend on nearly equal scores."""
    return rows[np.lexsort(np.round(rows[:, :4].T, 1))]


@pytest.mark.parametrize("name", ["02_forward_small", "02_forward_full", "02_forward_gen4like"])
@pytest.mark.parametrize(("tag", "threshold"), [("det01", 0.1), ("det0001", 0.001)])
def test_golden_detections(name, tag, threshold):
    golden = load_golden(name)
    steps, lanes = golden["ev"].shape[:2]
    for t in range(steps):
        pred = torch.from_numpy(golden[f"pred_t{t}"])
        for b, rows in enumerate(postprocess(pred, pred.shape[-1] - 5, threshold, 0.45)):
            expected = golden[f"{tag}_t{t}_b{b}"]
            assert rows.shape == expected.shape
            np.testing.assert_allclose(as_set(rows.numpy()), as_set(expected), atol=1e-3)
        assert b == lanes - 1


def test_no_detection_gives_empty_rows():
    (rows,) = postprocess(torch.zeros(1, 12, 7), 2, 0.1, 0.45)
    assert rows.shape == (0, 7)
    assert postprocess(torch.zeros(0, 12, 7), 2) == []


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), anchors=st.integers(0, 40), classes=st.integers(1, 4), thre=st.floats(0, 1))
def test_rows_are_confident_ordered_and_apart(seed, anchors, classes, thre):
    pred = torch.rand(2, anchors, 5 + classes, generator=torch.Generator().manual_seed(seed))
    pred[..., :4] *= 50
    for rows in postprocess(pred, classes, thre, 0.45):
        score = rows[:, 4] * rows[:, 5]
        assert (score >= thre).all()
        assert (score.diff() <= 0).all()
        assert ((rows[:, 6] >= 0) & (rows[:, 6] < classes)).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), images=st.integers(1, 5), classes=st.integers(1, 4), most=st.sampled_from([20, 999]))
def test_suppressing_in_all_images_at_once_gives_the_same_rows(seed, images, classes, most):
    pred = torch.rand(images, 60, 5 + classes, generator=torch.Generator().manual_seed(seed))
    pred[..., :2] = pred[..., :2] * 800 - 100
    pred[..., 2:4] *= 200
    pred[..., 4] = (pred[..., 4] * 8).round() / 8  # equal scores, too
    alone = postprocess(pred, classes, 0.2, 0.45)
    with_all = postprocess(pred, classes, 0.0, 2.0)  # nothing is suppressed: rows of every anchor, best first
    rows = torch.stack(with_all)
    scores = rows[..., Detection.OBJECTNESS] * rows[..., Detection.CLASS_CONFIDENCE]
    together = suppress_together(rows, scores, scores >= 0.2, 0.45, most)
    assert len(together) == images
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_boxes_beyond_all_bounds_do_not_hurt_those_of_other_images():
    row = torch.tensor(
        [[[2.0, 2, 9, 9, 1, 1, 0], [2, 2, 9, 8, 1, 0.9, 0]], [[0, 0, torch.inf, torch.inf, 1, 1, 0]] * 2]
    )
    scores = row[..., Detection.OBJECTNESS] * row[..., Detection.CLASS_CONFIDENCE]
    first, _ = suppress_together(row, scores, scores > 0, 0.45)
    assert torch.equal(first, row[0, :1])
