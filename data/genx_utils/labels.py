"""Boxes in memory: ``ObjectLabels`` of one frame (or one lane) and ``BatchedLabels`` of a whole batch."""

from __future__ import annotations

from data.genx_utils.batched_labels import BatchedLabels
from data.genx_utils.object_labels import LabelFormat, ObjectLabels, yolox_rows

__all__ = ["BatchedLabels", "LabelFormat", "ObjectLabels", "yolox_rows"]
