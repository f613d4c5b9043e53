"""Door to ``data.labels`` under the name that published programs use."""

from data.labels.batched_labels import BatchedLabels
from data.labels.object_labels import LabelFormat, ObjectLabels

__all__ = ["BatchedLabels", "LabelFormat", "ObjectLabels"]
