"""Evaluation of a detector on streams: states carried, test-time views merged, Prophesee figures at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from models.rnn_states import RNNStates
from modules.evaluation.agreement import agreement_from_config
from modules.evaluation.collector import DetectionCollector, FrameKey
from modules.evaluation.evaluator import evaluator_from_config
from modules.evaluation.pieces import ChunkDetector, detect_in_pieces
from modules.evaluation.views import hflip_lanes, plain_frame
from utils.settings import number


class StreamDetector(ChunkDetector, Protocol):
    """What evaluation needs of a detector; ``modules.detection.Module`` is one."""

    def fresh_states(self) -> RNNStates:
        """A store of states before any window."""
        ...


class StreamingEvaluation:
    """Collects the detections of labelled frames over an evaluation stream.

    Args:
        config: the composed configuration as plain containers.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        tta = config["tta"]
        self.hflip = bool(tta["enable"] and tta["hflip"])
        self.tflip_offset = int(config["dataset"]["tflip_offset"])
        self.frame_us = int(1000 * config["dataset"]["representation"]["dt_ms"])
        limits, key = config["model"]["postprocess"], "model.postprocess."
        number(limits["confidence_threshold"], f"{key}confidence_threshold", most=1)
        self.nms_threshold = number(limits["nms_threshold"], f"{key}nms_threshold", most=1)
        self.evaluator = evaluator_from_config(config)
        self.collector = DetectionCollector(agreement=agreement_from_config(config))
        self.states: dict[int, RNNStates] = {}

    def start(self) -> None:
        """Forget states, detections and labels."""
        self.states = {}
        self.collector.clear()

    def finish(self, *, extra: bool = True) -> Mapping[str, float]:
        """Evaluate what was collected, over all processes, and forget it; ``extra``: beyond the protocol's figures."""
        figures = self.collector.compute(self.evaluator, self.nms_threshold, extra=extra)
        self.start()
        return figures

    @property
    def counted(self) -> Mapping[str, int]:
        """Labels of each class that counted in the last evaluation, on the first process."""
        return self.evaluator.counted

    def step(self, detector: StreamDetector, batch: Mapping[str, Any], dataloader_idx: int) -> None:
        """Detect in one chunk.

        Args:
            detector: in evaluation mode.
            batch: see ``data.batches.batch.Batch``, inputs on the detector's device.
            dataloader_idx: 0 for the stream with the labels; others hold further views of the same sequences.
        """
        if dataloader_idx not in self.states:
            self.states[dataloader_idx] = detector.fresh_states()
        store = self.states[dataloader_idx]
        worker_id = int(batch["worker_id"])
        inputs, is_first = batch["inputs"], batch["is_first"]
        lanes = inputs.lanes
        if self.hflip:
            inputs, is_first = hflip_lanes(inputs), torch.cat([is_first, is_first])
        store.reset(worker_id, is_first)
        wanted = self._wanted(batch, further_view=dataloader_idx > 0)
        rows = [(t, lane, view) for t, lane in wanted for view in ((False, True) if self.hflip else (False,))]
        picks = [t * inputs.lanes + lane + view * lanes for t, lane, view in rows]
        detections, states = detect_in_pieces(detector, inputs.data, store.get_states(worker_id), picks)
        store.save_states_and_detach(worker_id, states)
        for (t, lane, view), found in zip(rows, detections, strict=True):
            key = self.key(batch, t, lane)
            self.collector.add_detections(key, found, inputs.size_hw[1] if view else None)
            if dataloader_idx == 0 and not view:
                labels = batch["labels"].at(t, lane)
                self.collector.add_labels(key, labels.to_structured(), (key[1] + 1) * self.frame_us)

    def _wanted(self, batch: Mapping[str, Any], *, further_view: bool) -> list[tuple[int, int]]:
        """Return (t, lane) of the frames that count: labelled ones, or, of a further view, those labelled before."""
        present = ~batch["is_padded"].cpu().numpy()
        if not further_view:
            present &= batch["labels"].labelled.cpu().numpy()
        frames = [(int(t), int(lane)) for t, lane in np.argwhere(present)]
        if further_view:
            frames = [(t, lane) for t, lane in frames if self.key(batch, t, lane) in self.collector.labels]
        return frames

    def key(self, batch: Mapping[str, Any], t: int, lane: int) -> FrameKey:
        """Sequence and frame whose label belongs to this frame: reversed frames carry that of their neighbour."""
        number, reverse = int(batch["ev_idx"][t, lane]), bool(batch["is_reversed"][lane])
        return batch["path"][lane], plain_frame(number, reverse, self.tflip_offset)
