"""SimOTA against golden assignments and at the borders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detection.yolox import assignment
from models.detection.yolox.anchors import Anchors, make_anchors
from models.detection.yolox.assignment import Boxes, assign, near_anchors
from tests.models.conftest import load_golden

GOLDEN = load_golden("03_simota")
CASES = sorted({key.split("/")[0] for key in GOLDEN})


def golden_case(name):
    c = {key.split("/")[1]: torch.from_numpy(value) for key, value in GOLDEN.items() if key.startswith(f"{name}/")}
    valid = c["valid"][None]
    class_id = torch.where(c["valid"], c["gt_cls"], torch.zeros(())).long()[None]
    boxes = Boxes(c["gt_cxcywh"][None], class_id, valid, ~valid)
    anchors = Anchors(torch.cat((c["x_shifts"], c["y_shifts"])).T.contiguous(), c["strides"].T.contiguous())
    return c, boxes, (c["pred_cxcywh"][None], c["obj_logits"].T, c["cls_logits"][None], anchors)


def valid_index(boxes, result):
    """Golden counts boxes among the valid ones only."""
    return (boxes.valid.long().cumsum(1) - 1)[0][result.box_index[0][result.foreground[0]]]


@pytest.mark.parametrize("name", CASES)
def test_golden_assignment(name):
    c, boxes, predictions = golden_case(name)
    result = assign(boxes, *predictions)
    np.testing.assert_array_equal(result.foreground[0], c["out_fg_mask"])
    np.testing.assert_array_equal(valid_index(boxes, result), c["out_matched_gt_inds"])
    matched = boxes.class_id[0][result.box_index[0]][result.foreground[0]]
    np.testing.assert_array_equal(matched, c["out_matched_classes"])
    np.testing.assert_allclose(result.iou[0][result.foreground[0]], c["out_pred_ious"], atol=1e-6)
    if "out_ignore_mask" in c:
        np.testing.assert_array_equal(result.ignored[0], c["out_ignore_mask"])
    np.testing.assert_array_equal(near_anchors(boxes.box, predictions[-1]).any(1)[0], c["geo_fg_all"])
    assert result.num_skipped == 0


def random_case(seed, num_images, num_boxes, spread=96.0):
    g = torch.Generator().manual_seed(seed)
    anchors = make_anchors(((8, 12), (4, 6), (2, 3)), (8, 16, 32), torch.float32, torch.device("cpu"))
    total = len(anchors.grid)
    box = torch.rand(num_images, num_boxes, 4, generator=g) * torch.tensor([spread, spread, 40.0, 40.0])
    kind = torch.randint(0, 3, (num_images, num_boxes), generator=g)
    class_id = torch.randint(0, 2, (num_images, num_boxes), generator=g) * (kind == 0)
    boxes = Boxes(box, class_id, kind == 0, kind == 1)
    pred = torch.rand(num_images, total, 4, generator=g) * 64
    obj = torch.randn(num_images, total, generator=g)
    return boxes, (pred, obj, torch.randn(num_images, total, 2, generator=g), anchors)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), num_images=st.integers(1, 4), num_boxes=st.integers(1, 12))
def test_assignment_rules(seed, num_images, num_boxes):
    boxes, predictions = random_case(seed, num_images, num_boxes, spread=200.0)
    result = assign(boxes, *predictions)
    near = near_anchors(boxes.box, predictions[-1]) & boxes.valid.unsqueeze(-1)
    assert result.num_skipped == (boxes.valid & ~near.any(-1)).sum()
    assert not (result.foreground & result.ignored).any()
    for n in range(num_images):
        chosen = result.box_index[n][result.foreground[n]]
        assert boxes.valid[n][chosen].all()
        assert near[n].any(1)[chosen].all()
        assert near[n].any(0)[result.foreground[n]].all()


def test_images_in_groups_give_the_same(monkeypatch):
    boxes, predictions = random_case(3, 5, 6)
    whole = assign(boxes, *predictions)
    monkeypatch.setattr(assignment, "MAX_ELEMENTS", 2 * 6 * 126)
    for a, b in zip(whole, assign(boxes, *predictions), strict=True):
        assert torch.equal(a, b)


def test_padding_changes_nothing():
    boxes, predictions = random_case(5, 3, 4)
    padded = Boxes(*(torch.cat((x, torch.zeros_like(x)), dim=1) for x in boxes))
    for a, b in zip(assign(boxes, *predictions), assign(padded, *predictions), strict=True):
        assert torch.equal(a, b)


def test_box_off_the_maps_is_skipped_and_takes_no_anchor_of_another():
    _, predictions = random_case(1, 1, 1)
    box = torch.tensor([[[48.0, 32, 20, 20], [400.0, 400, 30, 30]]])
    two = Boxes(box, torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2).bool())
    one = Boxes(*(x[:, :1] for x in two))
    alone, both = assign(one, *predictions), assign(two, *predictions)
    assert both.num_skipped == 1
    assert torch.equal(alone.foreground, both.foreground)
    assert alone.foreground.any()
    lost = assign(Boxes(*(x[:, 1:] for x in two)), *predictions)
    assert not lost.foreground.any()
    assert lost.num_skipped == 1
