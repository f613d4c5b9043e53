"""All labels of a batch in a few tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from data.labels.object_labels import ObjectLabels
from utils.boxes import Label


class BatchedLabels:
    """All labels of a batch in four CPU tensors, cheap to send between processes and to pin.

    The object stays on the host by design (it has no ``to``): which frames carry labels is then known without
    waiting for the device.

    Args:
        rows: float32 [N, 8], sorted by frame.
        frame_id: int64 [N]; box i belongs to time t and lane b with ``frame_id == t * B + b``; ascending.
        labelled: bool [L, B]; True also for frames that were looked at and hold no box.
        input_size_hw: frame size in pixels.
        t_us: exact box times int64 [N].
    """

    __slots__ = ("frame_id", "input_size_hw", "labelled", "rows", "t_us")

    def __init__(
        self, rows: Tensor, frame_id: Tensor, labelled: Tensor, input_size_hw: tuple[int, int], t_us: Tensor
    ) -> None:
        self.rows = rows
        self.frame_id = frame_id
        self.labelled = labelled
        self.input_size_hw = input_size_hw
        self.t_us = t_us

    @classmethod
    def from_lists(cls, labels: list[list[ObjectLabels | None]], input_size_hw: tuple[int, int]) -> BatchedLabels:
        """Batch from ``labels[t][b]``; None marks an unlabelled frame."""
        batch = len(labels[0]) if labels else 0
        cells = [(t * batch + b, cell) for t, line in enumerate(labels) for b, cell in enumerate(line)]
        labelled = torch.tensor([cell is not None for _, cell in cells], dtype=torch.bool).view(len(labels), batch)
        boxes = [(index, cell) for index, cell in cells if cell is not None and len(cell)]
        if not boxes:
            none = torch.zeros(0, dtype=torch.int64)
            return cls(torch.zeros(0, len(Label)), none, labelled, input_size_hw, none.clone())
        counts = torch.tensor([len(cell) for _, cell in boxes])
        frame_id = torch.tensor([index for index, _ in boxes]).repeat_interleave(counts)
        rows = torch.cat([cell.object_labels for _, cell in boxes])
        return cls(rows, frame_id, labelled, input_size_hw, torch.cat([cell.t_us for _, cell in boxes]))

    @classmethod
    def from_lanes(cls, lanes: Iterable[BatchedLabels], length: int, input_size_hw: tuple[int, int]) -> BatchedLabels:
        """Join lanes of one column each (``B = 1``) into a batch, in the given order."""
        parts = list(lanes)
        batch = len(parts)
        if not parts:
            return cls.from_lists([[] for _ in range(length)], input_size_hw)
        frame_id = torch.cat([part.frame_id * batch + lane for lane, part in enumerate(parts)])
        order = torch.argsort(frame_id, stable=True)
        return cls(
            torch.cat([part.rows for part in parts])[order],
            frame_id[order],
            torch.cat([part.labelled for part in parts], dim=1),
            input_size_hw,
            torch.cat([part.t_us for part in parts])[order],
        )

    @property
    def sequence_length(self) -> int:
        """Number of timesteps L."""
        return self.labelled.shape[0]

    @property
    def batch_size(self) -> int:
        """Number of lanes B."""
        return self.labelled.shape[1]

    def __len__(self) -> int:
        """Number of boxes in the batch."""
        return self.rows.shape[0]

    def __getstate__(self) -> tuple[Any, ...]:
        return self.rows, self.frame_id, self.labelled, self.input_size_hw, self.t_us

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.rows, self.frame_id, self.labelled, self.input_size_hw, self.t_us = state

    def pin_memory(self) -> BatchedLabels:
        """Pin what travels to the device (called by the DataLoader); the rest stays as it is."""
        return BatchedLabels(self.rows.pin_memory(), self.frame_id, self.labelled, self.input_size_hw, self.t_us)

    def _subset(self, keep: Tensor) -> BatchedLabels:
        """Keep the chosen boxes; frames that lose their last box become unlabelled."""
        counts = torch.bincount(self.frame_id[keep], minlength=self.labelled.numel())
        had = torch.bincount(self.frame_id, minlength=self.labelled.numel())
        emptied = ((counts == 0) & (had > 0)).view_as(self.labelled)
        return BatchedLabels(
            self.rows[keep], self.frame_id[keep], self.labelled & ~emptied, self.input_size_hw, self.t_us[keep]
        )

    def thin_pseudo_labels(self, every: int) -> BatchedLabels:
        """Without pseudo labels outside times 1, 1 + every, ... and L - 1; ground truth always stays (LEOD)."""
        t = self.frame_id // self.batch_size
        wanted = (t >= 1) & ((t - 1) % every == 0) | (t == self.sequence_length - 1)
        return self._subset(wanted | (self.rows[:, Label.T] > 0))

    def only_at(self, t: int) -> BatchedLabels:
        """Only the labels of time ``t``; the other frames become unlabelled."""
        keep = self.frame_id // self.batch_size == t
        labelled = torch.zeros_like(self.labelled)
        labelled[t] = self.labelled[t]
        return BatchedLabels(self.rows[keep], self.frame_id[keep], labelled, self.input_size_hw, self.t_us[keep])

    def at(self, t: int, b: int) -> ObjectLabels | None:
        """Labels of time ``t`` in lane ``b``; None when that frame is unlabelled."""
        if not bool(self.labelled[t, b]):
            return None
        first, last = torch.searchsorted(self.frame_id, torch.tensor([index := t * self.batch_size + b, index + 1]))
        part = slice(int(first), int(last))
        return ObjectLabels(self.rows[part], self.input_size_hw, self.t_us[part])

    def labelled_indices(self) -> Tensor:
        """Indices ``t * B + b`` of labelled frames, int64 [n], ascending (time-major)."""
        return torch.nonzero(self.labelled.flatten(), as_tuple=False).squeeze(1)
