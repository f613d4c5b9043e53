"""Carry out the plan: read frames and labels of a batch, augment them, put them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.augmentation.config import AugmentationConfig
from data.augmentation.frames import apply_to_frames, reverse_time
from data.augmentation.state import AugmentationState, apply_to_labels, sample_state
from data.genx_utils.labels import BatchedLabels
from data.genx_utils.sequence import EventSequence, LaneLabels
from data.genx_utils.types import AugmentSpec, Batch, BatchSpec, LaneSpec
from utils.errors import UserError

_IDENTITY = AugmentationState()


class PlannedDataset(Dataset[Batch]):
    """Map-style dataset whose keys are batches of the plan.

    Args:
        sequences: what the lanes refer to.
        length: frames per sample, L.
        frame_hw: frame size.
        tflip_offset: label offset of reversed lanes.
        augmentation_random: augmentation of random lanes.
        augmentation_stream: augmentation of stream lanes.
        use_label_every: keep pseudo labels only on frames 1, 1+k, ... and the last; 1 keeps all.
        only_load_end_labels: keep only labels of the last frame.
        only_load_labels: read no frames; they become [L, B, 0, 0, 0].
    """

    def __init__(
        self,
        sequences: Sequence[EventSequence],
        length: int,
        frame_hw: tuple[int, int],
        tflip_offset: int = -1,
        augmentation_random: AugmentationConfig | None = None,
        augmentation_stream: AugmentationConfig | None = None,
        use_label_every: int = 1,
        only_load_end_labels: bool = False,
        only_load_labels: bool = False,
    ) -> None:
        self.sequences = sequences
        self.length = length
        self.frame_hw = frame_hw
        self.tflip_offset = tflip_offset
        self.augmentation = {
            "random": augmentation_random or AugmentationConfig(),
            "stream": augmentation_stream or AugmentationConfig(),
        }
        self.use_label_every = use_label_every
        self.only_load_end_labels = only_load_end_labels
        self.only_load_labels = only_load_labels

    def __getitem__(self, spec: BatchSpec) -> Batch:
        lanes = spec.lanes
        states = [self._state(lane) for lane in lanes]
        labels, skipped = [], []
        for lane, state in zip(lanes, states, strict=True):
            mine, hidden = self._labels(lane, state)
            labels.append(mine)
            skipped.append(hidden)
        ev_idx = torch.from_numpy(np.stack([self._ev_idx(lane) for lane in lanes], axis=1))
        return {
            "frames": self._frames(lanes, states),
            "labels": BatchedLabels.from_lanes(labels, self.length, self.frame_hw),
            "skipped_labels": BatchedLabels.from_lanes(skipped, self.length, self.frame_hw),
            "is_first": torch.tensor([lane.is_first for lane in lanes]),
            "is_last": torch.tensor([lane.is_last for lane in lanes]),
            "is_reversed": torch.tensor([lane.reverse for lane in lanes]),
            "is_padded": ev_idx < 0,
            "ev_idx": ev_idx,
            "path": ["" if lane.is_padding else str(self.sequences[lane.sequence].paths.root) for lane in lanes],
            "worker_id": spec.worker_id,
            "position": (spec.epoch, spec.index),
        }

    def _ev_idx(self, lane: LaneSpec) -> np.ndarray[Any, np.dtype[np.int64]]:
        out = np.full(self.length, -1, dtype=np.int64)
        count = lane.stop - lane.start
        out[:count] = np.arange(lane.start, lane.stop)[:: -1 if lane.reverse else 1]
        return out

    def _state(self, lane: LaneSpec) -> AugmentationState:
        spec = lane.augment
        if spec is None or lane.is_padding:
            return _IDENTITY
        config = self.augmentation[spec.kind]
        target = torch.zeros(0, 8)
        if config.zoom.prob > 0.0 and config.zoom.weight_in > 0.0:
            target = self._zoom_targets(lane, spec)
        return sample_state(config, np.random.default_rng(spec.entropy), self.frame_hw, target)

    def _zoom_targets(self, lane: LaneSpec, spec: AugmentSpec) -> Tensor:
        sequence = self.sequences[lane.sequence]
        return sequence.latest_rows(spec.start, spec.stop, lane.reverse, self.tflip_offset)

    def _frames(self, lanes: Sequence[LaneSpec], states: Sequence[AugmentationState]) -> Tensor:
        if self.only_load_labels:
            return torch.zeros((self.length, len(lanes), 0, 0, 0), dtype=torch.uint8)
        parts = [None if lane.is_padding else self._read(lane) for lane in lanes]
        like = next((part for part in parts if part is not None), None)
        if like is None:
            reader = self.sequences[0].reader
            like = np.zeros((0, *reader.shape[1:]), dtype=reader.dtype)
        frames = torch.empty((self.length, len(lanes), *like.shape[1:]), dtype=torch.from_numpy(like[:0].copy()).dtype)
        target = frames.numpy()
        for index, (part, state) in enumerate(zip(parts, states, strict=True)):
            count = 0 if part is None else len(part)
            if part is not None:
                target[:count, index] = apply_to_frames(part, state)
            target[count:, index] = 0
        return frames

    def _read(self, lane: LaneSpec) -> np.ndarray[Any, np.dtype[Any]]:
        sequence = self.sequences[lane.sequence]
        frames = sequence.reader.read(lane.start, lane.stop)
        if frames.shape[-2:] != self.frame_hw:
            raise UserError(
                expected=f"frames of {self.frame_hw[0]} x {self.frame_hw[1]} pixels",
                got=f"{frames.shape[-2]} x {frames.shape[-1]}",
                where=str(sequence.paths.h5),
                fix="set dataset.sensor_hw and dataset.downsample_by_factor_2 as the files were made",
            )
        return reverse_time(frames) if lane.reverse else frames

    def _labels(self, lane: LaneSpec, state: AugmentationState) -> tuple[BatchedLabels, BatchedLabels]:
        """Usable and hidden labels of a lane, each with labelled [L, 1]."""
        if lane.is_padding:
            empty = BatchedLabels.from_lists([[None] for _ in range(self.length)], self.frame_hw)
            return empty, empty
        sequence = self.sequences[lane.sequence]
        found = sequence.labels_between(lane.start, lane.stop, lane.reverse, self.tflip_offset)
        usable, hidden = (self._select(found, state, want) for want in (False, True))
        if self.use_label_every > 1:
            usable = usable.thin_pseudo_labels(self.use_label_every)
        if self.only_load_end_labels:
            usable = usable.only_at(self.length - 1)
        return usable, hidden

    def _select(self, found: LaneLabels, state: AugmentationState, want_hidden: bool) -> BatchedLabels:
        labelled = torch.zeros(self.length, 1, dtype=torch.bool)
        labelled[found.frame_position[found.frame_hidden == want_hidden], 0] = True
        mine = found.hidden == want_hidden
        rows, position, t_us = found.rows[mine], found.position[mine], found.t_us[mine]
        if not state.is_identity and len(rows):
            before = torch.unique(position)
            rows, keep = apply_to_labels(rows, self.frame_hw, state)
            position, t_us = position[keep], t_us[keep]
            # A frame whose boxes all left the view is unlabelled, rather than a frame without objects (RVT).
            labelled[before[~torch.isin(before, position)], 0] = False
        return BatchedLabels(rows, position, labelled, self.frame_hw, t_us)


class _GuardedDataset(Dataset[Any]):
    """Hands a user's error over as a value: loader processes would turn the exception into another one."""

    def __init__(self, dataset: PlannedDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, spec: BatchSpec) -> Batch | UserError:
        try:
            return self.dataset[spec]
        except UserError as error:
            return error


def _as_is(batch: Any) -> Any:
    return batch


class PlanLoader(DataLoader[Batch]):
    """DataLoader over a plan; a UserError of a loader process is raised as it is.

    Args:
        dataset: carries the plan out.
        sampler: hands out the plan's batches.
        num_workers: loader processes.
        pin_memory: pin batches for the device.
        persistent_workers: keep the processes between epochs.
    """

    def __init__(
        self, dataset: PlannedDataset, sampler: Any, num_workers: int, pin_memory: bool, persistent_workers: bool
    ) -> None:
        super().__init__(
            _GuardedDataset(dataset),
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=_as_is,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers and num_workers > 0,
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch
