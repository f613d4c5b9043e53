"""Boxes in memory: views, geometry on wild boxes, batches that survive pickling."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.labels.batched_labels import BatchedLabels
from data.labels.object_labels import ObjectLabels
from utils.boxes import BBOX_DTYPE, IGNORE_LABEL
from utils.errors import UserError

HW = (60, 90)
coordinate = st.floats(-200, 200, width=32)


def boxes(*xywh: tuple[float, ...]) -> ObjectLabels:
    rows = [[1e6, *box, 1.0, 0.9, 0.8] for box in xywh]
    return ObjectLabels(torch.tensor(rows), HW)


def some_boxes(t: int, b: int, number: int) -> ObjectLabels:
    return boxes(*[(t, b, i + 1, i + 2) for i in range(number)]) if number else ObjectLabels.empty(HW)


@st.composite
def any_labels(draw: st.DrawFn) -> ObjectLabels:
    rows = draw(st.lists(st.tuples(coordinate, coordinate, st.floats(0, 300, width=32), st.floats(0, 300, width=32))))
    labels = ObjectLabels(torch.tensor([[1.0, *r, 0.0, 1.0, 1.0] for r in rows]).reshape(-1, 8), HW)
    labels.clamp_to_frame_()
    labels.remove_flat_labels_()
    return labels


def in_frame(labels: ObjectLabels) -> bool:
    far_x, far_y = labels.x + labels.w, labels.y + labels.h
    height, width = labels.input_size_hw
    inside = (labels.x >= -1e-3) & (labels.y >= -1e-3) & (far_x <= width - 1 + 1e-3) & (far_y <= height - 1 + 1e-3)
    return bool((inside & (labels.w > 0) & (labels.h > 0)).all())


@settings(deadline=None)
@given(any_labels(), st.floats(-180, 180), st.floats(1, 1.5), st.integers(0, 89), st.integers(0, 59))
def test_geometry_keeps_boxes_in_the_frame(labels: ObjectLabels, angle: float, factor: float, x0: int, y0: int) -> None:
    corner = min(x0, 90 - int(90 / factor)), min(y0, 60 - int(60 / factor))
    flipped, turned, near, far = (labels.clone() for _ in range(4))
    flipped.flip_lr_()
    assert in_frame(flipped)
    flipped.flip_lr_()
    torch.testing.assert_close(flipped.object_labels, labels.object_labels, atol=1e-4, rtol=0)
    for kept in (
        turned.rotate_(angle),
        near.zoom_in_and_rescale_(corner, factor),
        far.zoom_out_and_rescale_(corner, factor),
    ):
        assert len(kept) == len(labels)
    assert all(in_frame(each) for each in (turned, near, far))
    assert len(near) == len(near.t_us) <= len(labels)


@settings(deadline=None)
@given(any_labels(), st.sampled_from([0.5, 2.0, 0.75]))
def test_scaling(labels: ObjectLabels, factor: float) -> None:
    labels.scale_(factor)
    assert labels.input_size_hw == (round(60 * factor), round(90 * factor))
    assert bool((labels.w > 0).all())
    assert bool((labels.x + labels.w <= 90 * factor - 1 + 1e-3).all())


def test_zooms_are_undone() -> None:
    for zoom, undo in (
        (ObjectLabels.zoom_in_and_rescale_, ObjectLabels.reverse_zoom_in_),
        (ObjectLabels.zoom_out_and_rescale_, ObjectLabels.reverse_zoom_out_),
    ):
        labels = boxes((20, 20, 10, 10), (30, 25, 5, 8))
        before = labels.object_labels.clone()
        zoom(labels, (10, 10), 1.2)
        assert not torch.allclose(labels.object_labels, before)
        undo(labels, (10, 10), 1.2)
        torch.testing.assert_close(labels.object_labels, before)


def test_views() -> None:
    labels = boxes((10, 20, 30, 20))
    assert labels.get_labels_as_tensors().tolist() == [pytest.approx([1, 25, 30, 30, 20, 0.8, 0.9])]
    assert labels.get_labels_as_tensors("prophesee").tolist() == [pytest.approx([1e6, 10, 20, 30, 20, 1, 0.9])]
    assert labels.to_prophesee(7)["t"].tolist() == [7]
    with pytest.raises(UserError, match="yolox"):
        labels.get_labels_as_tensors("coco")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="eight columns"):
        ObjectLabels(torch.zeros(3, 7), HW)


def test_structured_arrays_keep_times_exactly() -> None:
    stored = np.zeros(3, dtype=BBOX_DTYPE)
    stored["t"] = [59_999_999, 0, 33_333_333]  # float32 would round the first and the last
    stored["x"], stored["y"], stored["w"], stored["h"] = 10, 12, 20, 22
    stored["class_id"] = [0, IGNORE_LABEL, 1]
    stored["class_confidence"], stored["objectness"] = 0.5, 0.25
    labels = ObjectLabels.from_structured_array(stored, HW)
    assert np.array_equal(labels.to_structured(), stored)
    assert labels.is_gt_label().tolist() == [True, False, True]
    assert labels.is_pseudo_label().tolist() == labels.is_ignored().tolist() == [False, True, False]
    halved = ObjectLabels.from_structured_array(stored, HW, downsample_factor=2)
    assert halved.input_size_hw == (30, 45)
    assert halved.object_labels[0, 1:5].tolist() == [5, 6, 10, 11]


@settings(deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=2, max_size=2), min_size=1, max_size=4))
def test_batches(counts: list[list[int | None]]) -> None:
    """Whatever frames carry labels: cells come back, indices and targets fit, also after pickling."""
    cells = [[None if n is None else some_boxes(t, b, n) for b, n in enumerate(line)] for t, line in enumerate(counts)]
    batch: BatchedLabels = pickle.loads(pickle.dumps(BatchedLabels.from_lists(cells, HW)))
    indices = batch.labelled_indices()
    assert indices.tolist() == [t * 2 + b for t, line in enumerate(counts) for b, n in enumerate(line) if n is not None]
    for index in indices.tolist():
        found, expected = batch.at(index // 2, index % 2), cells[index // 2][index % 2]
        assert found is not None
        assert expected is not None
        assert torch.equal(found.object_labels, expected.object_labels)
    lanes = [BatchedLabels.from_lists([[line[b]] for line in cells], HW) for b in range(2)]
    joined = BatchedLabels.from_lanes(lanes, len(cells), HW)
    assert torch.equal(joined.rows, batch.rows)
    assert torch.equal(joined.frame_id, batch.frame_id)
    assert torch.equal(joined.labelled, batch.labelled)


def test_thinning_spares_ground_truth_and_the_last_frame() -> None:
    pseudo = boxes((1, 2, 3, 4))
    pseudo.object_labels[:, 0] = 0
    cells = [[pseudo] if t != 2 else [boxes((1, 2, 3, 4))] for t in range(7)]
    batch = BatchedLabels.from_lists([list(line) for line in cells], HW)
    assert batch.thin_pseudo_labels(3).labelled_indices().tolist() == [1, 2, 4, 6]
    assert batch.thin_pseudo_labels(1).labelled_indices().tolist() == [1, 2, 3, 4, 5, 6]
    assert batch.only_at(6).labelled_indices().tolist() == [6]
