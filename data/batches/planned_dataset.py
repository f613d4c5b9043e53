"""Carry out the plan: read frames and labels of a batch, augment them, put them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from data.augmentation.config import AugmentationConfig
from data.augmentation.intensity import sample_intensity
from data.augmentation.state import AugmentationState, apply_to_labels, sample_state
from data.batches.batch import Batch
from data.batches.mixed_labels import SampleLabels, mix_labels
from data.labels.batched_labels import BatchedLabels
from data.payloads.base import Inputs
from data.payloads.frame_reader import UnreadableFrames
from data.sampling.specs import PADDING_LANE, BatchSpec, LaneSpec, PartnerSpec
from data.sequences.sequence import EventSequence, LaneLabels
from utils.boxes import Label
from utils.errors import UserError

_INTENSITY_WORD, _EVENTS_WORD = 12, 13
"""Last words of the entropies of a lane's intensity, and of its single events in a chunk."""


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
        only_load_labels: read no frames; inputs become [L, B, 0, 0, 0].
        skip_unreadable: a lane whose frames cannot be read becomes padding (its recurrent state starts anew) and is
            named in the batch, rather than an error.
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
        skip_unreadable: bool = False,
    ) -> None:
        self.sequences = sequences
        self.payload = sequences[0].payload
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
        self.skip_unreadable = skip_unreadable

    def __getitem__(self, spec: BatchSpec) -> Batch:
        room = self._room(spec)
        places = [None if room is None else self.payload.place(room, index) for index in range(len(spec.lanes))]
        read = [self._read_lane(lane, place) for lane, place in zip(spec.lanes, places, strict=True)]
        lanes = [lane for lane, _, _ in read]
        samples = [self._labels(lane) for lane in lanes]
        ev_idx = torch.from_numpy(np.stack([self._ev_idx(lane) for lane in lanes], axis=1))
        return {
            "inputs": self._inputs([part for _, part, _ in read], room),
            "labels": BatchedLabels.from_lanes([s.usable for s in samples], self.length, self.frame_hw),
            "skipped_labels": BatchedLabels.from_lanes([s.hidden for s in samples], self.length, self.frame_hw),
            "is_first": torch.tensor([lane.is_first for lane in lanes]),
            "is_last": torch.tensor([lane.is_last for lane in lanes]),
            "is_reversed": torch.tensor([lane.reverse for lane in lanes]),
            "is_padded": ev_idx < 0,
            "ev_idx": ev_idx,
            "path": ["" if lane.is_padding else str(self.sequences[lane.sequence].paths.root) for lane in lanes],
            "worker_id": spec.worker_id,
            "unlabelled": spec.unlabelled,
            "position": (spec.epoch, spec.index),
            "unreadable": [failure for _, _, failures in read for failure in failures],
        }

    def _ev_idx(self, lane: LaneSpec) -> np.ndarray[Any, np.dtype[np.int64]]:
        out = np.full(self.length, -1, dtype=np.int64)
        count = lane.stop - lane.start
        out[:count] = np.arange(lane.start, lane.stop)[:: -1 if lane.reverse else 1]
        return out

    # Inputs.
    def _room(self, spec: BatchSpec) -> Any:
        """Memory of a batch, of the size of its first lane that can be read; None if there is none."""
        for lane in () if self.only_load_labels else spec.lanes:
            if lane.is_padding:
                continue
            try:
                like = self.payload.empty(self.sequences[lane.sequence].reader)
            except UnreadableFrames:  # told, or left out, when it is read
                continue
            return self.payload.room(self.length, len(spec.lanes), like)
        return None

    def _read_lane(self, lane: LaneSpec, place: Any) -> tuple[LaneSpec, Any, list[tuple[str, int, int]]]:
        """Augmented part of the payload for a lane, None for padding; and the lane as it could be read.

        What needs no further change lies in ``place`` already.

        The third is what could not be read: file, first frame, last + 1.
        """
        if lane.is_padding or self.only_load_labels:
            return lane, None, []
        try:
            read = self._read(lane, lane, place)
        except UnreadableFrames as error:
            if not self.skip_unreadable:
                raise
            return replace(PADDING_LANE, is_first=True), None, [(error.path, lane.start, lane.stop)]
        failures = []
        if lane.partner is not None:
            try:
                other = self._read(lane, lane.partner)
                read = self.payload.mixed(read, other, lane.partner.position, self._config(lane).max_count)
            except UnreadableFrames as error:
                if not self.skip_unreadable:
                    raise
                failures.append((error.path, lane.partner.start, lane.partner.stop))
                lane = replace(lane, partner=None)
        return lane, self._intensity(lane, read), failures

    def _config(self, lane: LaneSpec) -> AugmentationConfig:
        return AugmentationConfig() if lane.augment is None else self.augmentation[lane.augment.kind]

    def _intensity(self, lane: LaneSpec, read: Any) -> Any:
        config = self._config(lane)
        if lane.augment is None or config.intensity.prob == 0.0:
            return read
        state = sample_intensity(config.intensity, np.random.default_rng((*lane.augment.entropy, _INTENSITY_WORD)))
        # Level and gain hold for the whole range, single events differ from chunk to chunk.
        events = np.random.default_rng((*lane.augment.entropy, lane.start, _EVENTS_WORD))
        return self.payload.jittered(read, state, events, config.max_count)

    def _state(self, part: LaneSpec | PartnerSpec, reverse: bool) -> AugmentationState:
        spec = part.augment
        if spec is None:
            return AugmentationState()
        config = self.augmentation[spec.kind]
        target = torch.zeros(0, len(Label))
        if (config.zoom.prob > 0.0 and config.zoom.weight_in > 0.0) or config.crop.prob > 0.0:
            target = self.sequences[part.sequence].latest_rows(spec.start, spec.stop, reverse, self.tflip_offset)
        return sample_state(config, np.random.default_rng(spec.entropy), self.frame_hw, target)

    def _read(self, lane: LaneSpec, part: LaneSpec | PartnerSpec, place: Any = None) -> Any:
        sequence = self.sequences[part.sequence]
        height, width = self.payload.size_hw(self.payload.empty(sequence.reader))
        if (height, width) != self.frame_hw:
            raise UserError(
                expected=f"frames of {self.frame_hw[0]} x {self.frame_hw[1]} pixels",
                got=f"{height} x {width}",
                where=str(sequence.paths.h5),
                fix="set dataset.sensor_hw and dataset.downsample_by_factor_2 as the files were made",
            )
        state = self._state(part, lane.reverse)
        return self.payload.read(sequence.reader, part.start, part.stop, lane.reverse, state, place)

    def _inputs(self, parts: Sequence[Any], room: Any) -> Inputs:
        """Inputs of the lanes; without any size if they are to be left away."""
        all_padding = not self.only_load_labels and all(part is None for part in parts)
        return self.payload.stacked(parts, self.length, self._empty() if all_padding else None, room)

    def _empty(self) -> Any:
        """No windows, like those of the first sequence that can be read."""
        for sequence in self.sequences:
            try:
                return self.payload.empty(sequence.reader)
            except UnreadableFrames:
                if not self.skip_unreadable:
                    raise
        raise UserError(
            expected="a sequence whose frames can be read",
            got=f"none of {len(self.sequences)}",
            where=str(self.sequences[0].paths.root.parent),
            fix="preprocess (or download) the dataset again",
        )

    # Labels.
    def _labels(self, lane: LaneSpec) -> SampleLabels:
        """Labels of a lane, those of its partner included."""
        if lane.is_padding:
            empty = BatchedLabels.from_lists([[None] for _ in range(self.length)], self.frame_hw)
            return SampleLabels(empty, empty, torch.zeros(self.length, dtype=torch.bool))
        labels = self._labels_of(lane, lane.reverse, 0)
        if lane.partner is not None:
            position = lane.partner.position
            covered = torch.zeros(self.length, dtype=torch.bool)
            covered[position : position + lane.partner.stop - lane.partner.start] = True
            labels = mix_labels(labels, self._labels_of(lane.partner, lane.reverse, position), covered)
        usable = labels.usable
        if self.use_label_every > 1:
            usable = usable.thin_pseudo_labels(self.use_label_every)
        if self.only_load_end_labels:
            usable = usable.only_at(self.length - 1)
        return replace(labels, usable=usable)

    def _labels_of(self, part: LaneSpec | PartnerSpec, reverse: bool, position: int) -> SampleLabels:
        """Labels of the frames [start, stop), the first one played at ``position``."""
        sequence, state = self.sequences[part.sequence], self._state(part, reverse)
        found = sequence.labels_between(part.start, part.stop, reverse, self.tflip_offset)
        found = replace(found, position=found.position + position, frame_position=found.frame_position + position)
        known = torch.zeros(self.length, dtype=torch.bool)
        known[found.frame_position[~found.frame_hidden]] = True
        return SampleLabels(self._select(found, state, False), self._select(found, state, True), known)

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
