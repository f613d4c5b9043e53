"""A detector that learns from labels and from its teacher: the running mean of its own weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.detection.interface import Detector, FrameBoxes
from models.rnn_states import RNNStates
from models.transfer import to_device
from modules.detection import Module
from modules.semi.labels import TeacherLabels, last_frames, merge_mirrored, mirrored_too, teacher_labels, together
from modules.semi.settings import check_weighs, semi_settings
from modules.semi.strong import StrongAugmentation


class SemiModule(Module):
    """As :class:`Module`; in lanes without labels it learns what the teacher finds in them.

    The teacher sees the frames as they are loaded, in evaluation mode and with recurrent states of its own; the
    detector sees them changed. All frames of a step go through the network together, so that its batch norms see one
    batch. The teacher is not a part of this module: who keeps the average hands it over with :meth:`learn_from`.

    Args:
        config: the composed configuration as plain containers, with a section ``semi``.

    Raises:
        UserError: a detector whose loss cannot weigh frames.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        settings = semi_settings(config)
        assert settings is not None, "who asks for this module has a section semi"
        check_weighs(self.mdl)
        self.semi = settings
        frames, seed = config["dataset"]["representation"], config["reproduce"]["seed_everything"] or 0
        self.strong = StrongAugmentation(settings.strong, int(frames["bins"]), frames["count_cutoff"], seed)
        self.teacher_states = RNNStates()
        self._teacher: list[Detector] = []  # in a list, so that its weights are none of this module's

    def learn_from(self, average: nn.Module) -> None:
        """Take the network of the module whose weights are the average as the teacher."""
        assert isinstance(average, Module), "a copy of this module"
        self._teacher = [average.mdl.eval()]

    def rank_state_dict(self) -> dict[str, Any]:
        """As of :class:`Module`, with the teacher's states."""
        return {**super().rank_state_dict(), "teacher_states": self.teacher_states.state_dict()}

    def load_rank_state_dict(self, state: Mapping[str, Any]) -> bool:
        """As of :class:`Module`, with the teacher's states."""
        fits = super().load_rank_state_dict(state)
        if fits:
            self.teacher_states.load_state_dict(state["teacher_states"], device=self.device)
        return fits

    def lesson(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor, FrameBoxes]:
        """As of :class:`Module`; once the teacher has started, with what it finds in the lanes without labels."""
        frames, indices, boxes = super().lesson(batch)
        weight = self.semi.weight_at(self.global_step)
        if weight == 0.0:
            return frames, indices, boxes
        first = batch["inputs"].lanes - int(batch["unlabelled"])
        chosen = last_frames(batch["is_padded"][:, first:], self.semi.frames)
        found = self._ask(batch, first, chosen)
        weights = weight * (found.score if self.semi.weight_by_score else torch.ones(len(chosen)))
        changed = self.strong(frames[:, first:], (*batch["position"], self.global_rank))
        t, lane = chosen // changed.shape[1], chosen % changed.shape[1]
        chosen = t * frames.shape[1] + lane + first
        frames = torch.cat([frames[:, :first], changed], dim=1)
        return frames, torch.cat([indices, chosen]), together(boxes, found.boxes, weights)

    @torch.no_grad()
    def _ask(self, batch: Mapping[str, Any], first: int, indices: Tensor) -> TeacherLabels:
        """What the teacher finds in the lanes from ``first`` on, of which ``indices`` chooses frames."""
        (teacher,), worker_id, frames = self._teacher, int(batch["worker_id"]), batch["inputs"].data[:, first:]
        is_first, size_hw = batch["is_first"][first:], batch["inputs"].size_hw
        if self.semi.hflip:
            indices = mirrored_too(indices, frames.shape[1])
            frames, is_first = torch.cat([frames, frames.flip(-1)], dim=1), torch.cat([is_first, is_first])
        self.teacher_states.reset(worker_id, is_first)
        features, states = teacher.features(teacher.prepare(frames), self.teacher_states.get_states(worker_id))
        self.teacher_states.save_states_and_detach(worker_id, states)
        settings, nms = self.semi, float(self.config["model"]["postprocess"]["nms_threshold"])
        chosen = teacher.select(features, to_device(indices, self.device))
        found = teacher.detections(chosen, settings.unsure, nms) if len(indices) else []
        if settings.hflip:
            found = merge_mirrored(found, size_hw[1], nms)
        labels = teacher_labels(found, settings.threshold, settings.unsure, size_hw)
        number, boxes = max(len(found), 1), len(labels.boxes.rows)
        figures = {"taught_boxes": labels.certain / number, "unsure_boxes": (boxes - labels.certain) / number}
        self.log_dict({f"train/{name}": value for name, value in figures.items()}, batch_size=batch["inputs"].lanes)
        return labels
