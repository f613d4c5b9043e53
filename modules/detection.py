"""The detector as a LightningModule: training, streaming evaluation and detection for labelling."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from data.labels.batched_labels import BatchedLabels
from models.detection.interface import Detector, Features, FrameBoxes
from models.rnn_states import RNNStates, States, first_dimensions
from models.transfer import to_device
from modules.evaluation.pieces import detect_in_pieces
from modules.evaluation.streams import StreamingEvaluation
from modules.evaluation.table import figures_line
from modules.weights.module import NetworkModule

log = logging.getLogger(__name__)


class Module(NetworkModule):
    """Event-camera detector of any family, with the states of its streams (RVT, CVPR 2023; LEOD, CVPR 2024).

    Args:
        config: the composed configuration as plain containers (it is stored in checkpoints).
    """

    mdl: Detector

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config, "detection")
        assert isinstance(self.mdl, Detector), "families of this task build detectors"
        self.train_states = self.fresh_states()
        self.evaluation = StreamingEvaluation(config)

    @property
    def counted(self) -> dict[str, int]:
        """Labels that counted in the last evaluation, by class."""
        return dict(self.evaluation.counted)

    def keep_for_report(self, keep: bool) -> None:
        """Keep detections and frames of the evaluation that follows."""
        self.evaluation.collector.keep = keep

    def fresh_states(self) -> RNNStates:
        """A store of states before any window."""
        return RNNStates(forgets=not self.mdl.keeps_states)

    def rank_state_dict(self) -> dict[str, Any]:
        """Recurrent states of this process's training streams; resume points keep those of every process."""
        return {"train_states": self.train_states.state_dict()}

    def load_rank_state_dict(self, state: Mapping[str, Any]) -> bool:
        """Take the recurrent states back, unless the batches have another number of lanes now; whether it was done."""
        if first_dimensions(state["train_states"]) - {int(self.config["batch_size"]["train"])}:
            log.warning("batch_size.train has changed: recurrent states start anew")
            return False
        self.train_states.load_state_dict(state["train_states"], device=self.device)
        return True

    def prepare(self, frames: Tensor) -> Any:
        """What the detector makes of frames uint8 or int8 [L, B, C, H, W] on their device."""
        return self.mdl.prepare(frames)

    def features(self, frames: Tensor, states: States) -> tuple[Features, States]:
        """Features of a chunk of frames uint8 [L, B, C, H, W], and the new states."""
        return self.mdl.features(self.prepare(frames), states)

    def lesson(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor, FrameBoxes]:
        """What a training step looks at: frames [L, B, C, H, W], indices t·B + b of some of them, and their boxes."""
        labels: BatchedLabels = batch["labels"]
        indices = labels.labelled_indices()
        return batch["inputs"].data, indices, boxes_of_frames(labels, indices)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of one batch; only labelled frames are selected for it, in one call."""
        worker_id = int(batch["worker_id"])
        frames, indices, boxes = self.lesson(batch)
        self.train_states.reset(worker_id, batch["is_first"])
        features, states = self.features(frames, self.train_states.get_states(worker_id))
        self.train_states.save_states_and_detach(worker_id, states)

        has_labels = len(indices) > 0
        if not has_labels:
            # Every process must touch every parameter: one frame without boxes, weighted zero.
            indices = torch.zeros(1, dtype=torch.int64)
            boxes = boxes_of_frames(batch["labels"], indices)
        losses = self.mdl.losses(self.mdl.select(features, to_device(indices, self.device)), boxes)
        loss = losses["loss"] if has_labels else losses["loss"] * 0.0
        lanes = batch["inputs"].lanes
        self.log("train/loss", loss, prog_bar=True, batch_size=lanes)
        self.log_dict({f"train/{k}": v.detach().float() for k, v in losses.items() if k != "loss"}, batch_size=lanes)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start with fresh states and an empty collection."""
        self.evaluation.start()

    def on_test_epoch_start(self) -> None:
        """Start with fresh states and an empty collection."""
        self.evaluation.start()

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Detect in one chunk of the evaluation stream; a second loader holds the stream in the other direction."""
        self.evaluation.step(self, batch, dataloader_idx)

    def test_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """As ``validation_step``, on the test split."""
        self.evaluation.step(self, batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Evaluate and log ``val/AP``, ``val/AP_50`` and so on."""
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        """Evaluate and log ``test/AP``, ``test/AP_50`` and so on."""
        self._log_figures("test")

    def _log_figures(self, prefix: str) -> None:
        if self.trainer.sanity_checking:
            return
        in_fit = self.trainer.state.fn == "fit"
        # Within it the protocol's figures decide, and the others take twice as long.
        figures = self.evaluation.finish(extra=not in_fit)
        for name, value in figures.items():
            self.log(f"{prefix}/{name}", float(value), rank_zero_only=False)
        if in_fit and self.trainer.is_global_zero:
            threshold, counted = self.config["model"]["postprocess"]["confidence_threshold"], self.evaluation.counted
            shown = {name: figures[name] for name in ("AP", "AP_50")}
            log.info("step %d: %s", self.trainer.global_step, figures_line(shown, threshold, counted))

    def detect(self, features: Features, indices: Tensor) -> list[Tensor]:
        """Detections [n, 7] of the chosen frames (index t·B + b), thresholded and after NMS."""
        settings = self.config["model"]["postprocess"]
        confidence, nms = float(settings["confidence_threshold"]), float(settings["nms_threshold"])
        chosen = whole_groups(indices) if _tunes(self.device) else indices
        return self.mdl.detections(self.mdl.select(features, chosen), confidence, nms)[: len(indices)]

    @torch.no_grad()
    def detect_sequence(self, frames: Tensor, states: States, is_first: Tensor) -> tuple[list[list[Tensor]], States]:
        """Detect on every frame of a chunk.

        Args:
            frames: uint8 [L, B, C, H, W] on the module's device.
            states: of the previous chunk, or None.
            is_first: bool [B]; lanes that start a new sequence get zero states.

        Returns:
            detections[t][b] of shape [n, 7] (x1, y1, x2, y2, objectness, class confidence, class; pixels of the
            frame), and the new states.
        """
        length, lanes = frames.shape[:2]
        store = self.fresh_states()
        if states is not None:
            store.save_states_and_detach(0, states)
            store.reset(0, is_first)
        flat, states = detect_in_pieces(self, frames, store.get_states(0))
        return [flat[t * lanes : (t + 1) * lanes] for t in range(length)], states


GROUP = 8
"""Frames are detected in multiples of this many where cuDNN tunes itself for every number of them."""


def _tunes(device: torch.device) -> bool:
    return device.type == "cuda" and torch.backends.cudnn.benchmark


def whole_groups(indices: Tensor) -> Tensor:
    """Indices with the last one repeated until there are a multiple of :data:`GROUP`; none stay none.

    Only for detecting: in training batch norms would see the frames that are added.

    >>> whole_groups(torch.tensor([4, 5, 7])).tolist()
    [4, 5, 7, 7, 7, 7, 7, 7]
    """
    return torch.cat([indices, indices[-1:].expand(-len(indices) % GROUP if len(indices) else 0)])


def boxes_of_frames(labels: BatchedLabels, indices: Tensor) -> FrameBoxes:
    """Boxes of the frames with index t·B + b in ``indices`` (int64 [n], ascending), on the host as the labels are."""
    place = torch.full((labels.labelled.numel(),), -1, dtype=torch.int64)
    place[indices] = torch.arange(len(indices))
    frame = place[labels.frame_id]
    wanted = frame >= 0
    return FrameBoxes(labels.rows[wanted], frame[wanted], len(indices), labels.input_size_hw)
