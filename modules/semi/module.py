"""A detector that learns from labels and from its teacher: the running mean of its own weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.detection.interface import Detector
from models.rnn_states import RNNStates
from models.transfer import to_device
from modules.detection import Module
from modules.semi.labels import TeacherLabels, last_frames, teacher_labels
from modules.semi.settings import semi_settings
from modules.semi.strong import StrongAugmentation


class SemiModule(Module):
    """As :class:`Module`; lanes without labels learn what the teacher finds in them.

    The teacher sees the frames as they are loaded, in evaluation mode and with recurrent states of its own. It is not
    a part of this module: who keeps the average hands it over with :meth:`learn_from`.

    Args:
        config: the composed configuration as plain containers, with a section ``semi``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        settings = semi_settings(config)
        assert settings is not None, "who asks for this module has a section semi"
        self.semi = settings
        frames, seed = config["dataset"]["representation"], config["reproduce"]["seed_everything"] or 0
        self.strong = StrongAugmentation(settings.strong, int(frames["bins"]), frames["count_cutoff"], seed)
        self.teacher_states = RNNStates()
        self._teacher: list[Detector] = []  # in a list, so that its weights are none of this module's

    def learn_from(self, average: Module) -> None:
        """Take the network whose weights are the average as the teacher."""
        self._teacher = [average.mdl.eval()]

    def rank_state_dict(self) -> dict[str, Any]:
        """As of :class:`Module`, with the teacher's states; those of lanes without labels have negative numbers."""
        return {**super().rank_state_dict(), "teacher_states": self.teacher_states.state_dict()}

    def load_rank_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the recurrent states back."""
        self.train_states.load_state_dict(state["train_states"], device=self.device)
        self.teacher_states.load_state_dict(state["teacher_states"], device=self.device)

    def forget(self, worker_id: int) -> None:
        """Let the lanes of a stream group start anew."""
        super().forget(worker_id)
        self.train_states.reset(_beside(worker_id))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of the labelled lanes and, once the teacher has started, of the others."""
        lanes, unlabelled = batch["inputs"].lanes, int(batch["unlabelled"])
        loss = super().training_step(_part(batch, 0, lanes - unlabelled), batch_idx)
        weight = self.semi.weight_at(self.global_step)
        if weight == 0.0:  # the same on every process: the loss below exchanges numbers with the others
            return loss
        return loss + weight * self._taught_loss(_part(batch, lanes - unlabelled, lanes))

    def _taught_loss(self, batch: dict[str, Any]) -> Tensor:
        """Loss of lanes without labels against what the teacher finds in them."""
        frames, worker_id = batch["inputs"].data, int(batch["worker_id"])
        indices = last_frames(batch["is_padded"], self.semi.frames)
        has_frames = len(indices) > 0
        if not has_frames:
            indices = torch.zeros(1, dtype=torch.int64)
        chosen = to_device(indices, self.device)
        labels = self._ask(batch, chosen)

        own, entropy = _beside(worker_id), (*batch["position"], self.global_rank)
        self.train_states.reset(own, batch["is_first"])
        features, states = self.features(self.strong(frames, entropy), self.train_states.get_states(own))
        self.train_states.save_states_and_detach(own, states)
        loss = self.mdl.losses(self.mdl.select(features, chosen), labels.boxes)["loss"]
        if self.semi.weight_by_score:
            loss = loss * labels.score
        lanes = batch["inputs"].lanes
        boxes = len(labels.boxes.rows)
        self.log_dict(
            {
                "train/taught_loss": loss.detach().float(),
                "train/taught_boxes": labels.certain / len(indices),
                "train/unsure_boxes": (boxes - labels.certain) / len(indices),
            },
            batch_size=lanes,
        )
        return loss if has_frames else loss * 0.0

    @torch.no_grad()
    def _ask(self, batch: dict[str, Any], indices: Tensor) -> TeacherLabels:
        """What the teacher finds in the frames with these indices t·B + b."""
        (teacher,), worker_id, inputs = self._teacher, int(batch["worker_id"]), batch["inputs"]
        self.teacher_states.reset(worker_id, batch["is_first"])
        features, states = teacher.features(teacher.prepare(inputs.data), self.teacher_states.get_states(worker_id))
        self.teacher_states.save_states_and_detach(worker_id, states)
        settings, nms = self.semi, float(self.config["model"]["postprocess"]["nms_threshold"])
        found = teacher.detections(teacher.select(features, indices), settings.unsure, nms)
        return teacher_labels(found, settings.threshold, settings.unsure, inputs.size_hw)


def _beside(worker_id: int) -> int:
    """Under which number the states of a stream group's lanes without labels are kept."""
    return -1 - worker_id


def _part(batch: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
    """Lanes ``first`` to ``last`` (exclusive) of a batch: what a training step reads of it."""
    return {
        "inputs": batch["inputs"].lanes_between(first, last),
        "labels": batch["labels"].lanes_between(first, last),
        "is_first": batch["is_first"][first:last],
        "is_padded": batch["is_padded"][:, first:last],
        "worker_id": batch["worker_id"],
        "position": batch["position"],
    }
