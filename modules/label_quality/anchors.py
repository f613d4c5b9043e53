"""What pseudo labels tell each anchor, against what the hidden labels would tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from data.sequences.sequence import EventSequence
from models.detection.interface import FrameBoxes
from models.detection.rnndet.detector import YoloXDetector
from models.detection.yolox.anchors import Anchors
from models.detection.yolox.assignment import Assignment, Boxes, assign, near_anchors
from models.detection.yolox.columns import Output
from models.detection.yolox.config import HeadConfig
from models.detection.yolox.losses import split_targets
from models.detection.yolox.targets import padded_targets
from models.rnn_states import RNNStates
from modules.detection import Module, boxes_of_frames
from utils.boxes import Label

WAYS = (
    "every box is a label",
    "boxes below the thresholds left out",
    "... ignored",
    "... and boxes without a class ignored",
)
"""How boxes can be used that are not sure: those below the thresholds of soft anchors, and those of short tracks."""


@dataclass(frozen=True)
class AnchorCounts:
    """Sums over anchors and frames, for one way to use unsure boxes; per class of the hidden labels where [classes].

    Attributes:
        anchors: of all frames.
        background: anchors that are trained to see nothing.
        ignored: anchors that are not trained.
        ignored_on_objects: of these, those which the hidden labels would give an object.
        wrong: anchors with a box that are near no object of its class [classes], by the box's class.
        foreground: anchors with a box [classes], by its class.
        objects: anchors that the hidden labels would give an object [classes].
        found: of these, those that have a box [classes].
        freed: of these, those that are ignored [classes].
        missed: of these, those that are trained to see nothing [classes].
        loss: objectness loss of all background anchors.
        missed_loss: of those on objects [classes].
    """

    anchors: Tensor
    background: Tensor
    ignored: Tensor
    ignored_on_objects: Tensor
    wrong: Tensor
    foreground: Tensor
    objects: Tensor
    found: Tensor
    freed: Tensor
    missed: Tensor
    loss: Tensor
    missed_loss: Tensor

    def __add__(self, other: AnchorCounts) -> AnchorCounts:
        return AnchorCounts(
            *(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True))
        )

    @property
    def purity(self) -> float:
        """Share of the ignored anchors that lie on objects."""
        return float(self.ignored_on_objects) / max(float(self.ignored), 1.0)

    def shares(self, class_id: int | None = None) -> dict[str, float]:
        """Figures for a table, of one class or of all."""
        own = slice(None) if class_id is None else slice(class_id, class_id + 1)
        objects, foreground = (float(part[own].sum()) for part in (self.objects, self.foreground))
        rows = {
            "found": (self.found, objects),
            "freed": (self.freed, objects),
            "taken for background": (self.missed, objects),
            "of the background's loss": (self.missed_loss, float(self.loss)),
            "boxes off": (self.wrong, foreground),
        }
        return {name: float(part[own].sum()) / max(whole, 1e-9) for name, (part, whole) in rows.items()}


@torch.inference_mode()
def count_dataset(
    module: Module, source: Iterable[Mapping[str, Any]], pseudo: Mapping[str, EventSequence], batches: int
) -> tuple[int, dict[str, AnchorCounts]]:
    """Count over frames that have pseudo labels, and true labels that pseudo labels do not show.

    Args:
        module: a detector with a YOLOX head that has thresholds of soft anchors.
        source: stream over whole sequences with all true labels.
        pseudo: the same sequences by name, with pseudo labels.
        batches: of the stream, at most.

    Returns:
        the number of frames, and the counts for each of ``WAYS``.
    """
    module.eval()
    detector, states, frames = module.mdl, RNNStates(), 0
    assert isinstance(detector, YoloXDetector), "its head has anchors"
    counts: dict[str, AnchorCounts] = {}
    for batch in islice(source, batches):
        states.reset(0, batch["is_first"])
        features, new = module.features(batch["inputs"].data, states.get_states(0))
        states.save_states_and_detach(0, new)
        labels = _pseudo_boxes(batch, pseudo)
        if not labels:
            continue
        indices = torch.tensor(list(labels))
        raw, anchors = detector.yolox_head.raw_outputs(detector.fpn(detector.select(features, indices)))
        frame = torch.arange(len(labels)).repeat_interleave(torch.tensor([len(rows) for rows in labels.values()]))
        found = FrameBoxes(torch.cat(list(labels.values())), frame, len(labels), batch["labels"].input_size_hw)
        predicted = detector.yolox_head.decode(raw, anchors)[..., Output.BOX]
        targets, hidden = padded_targets(found), padded_targets(boxes_of_frames(batch["labels"], indices))
        frames += len(labels)
        for name, one in count_anchors(raw, predicted, anchors, targets, hidden, detector.cfg.head).items():
            counts[name] = one + counts[name] if name in counts else one
    return frames, counts


def _pseudo_boxes(batch: Mapping[str, Any], pseudo: Mapping[str, EventSequence]) -> dict[int, Tensor]:
    """Pseudo boxes [n, 8] by frame t·B + b, of frames with true labels that are hidden from training."""
    found: dict[int, Tensor] = {}
    cells = batch["labels"].labelled & ~batch["is_padded"].cpu()
    for t, lane in cells.nonzero().tolist():
        number = int(batch["ev_idx"][t, lane])
        labels = pseudo[Path(batch["path"][lane]).name].labels_between(number, number + 1, False, 0)
        if len(labels.frame_position) and not bool((labels.rows[:, Label.T] > 0).any()):
            found[t * cells.shape[1] + lane] = labels.rows
    return found


def count_anchors(
    raw: Tensor, predicted: Tensor, anchors: Anchors, labels: Tensor, hidden: Tensor, cfg: HeadConfig
) -> dict[str, AnchorCounts]:
    """Count the anchors of some frames for each of ``WAYS``.

    Args:
        raw: undecoded outputs [N, A, 5 + classes].
        predicted: decoded boxes [N, A, 4] cx, cy, w, h in pixels.
        anchors: of all maps.
        labels: pseudo labels [N, M, 7] as in ``split_targets``.
        hidden: true labels of the same frames, likewise.
        cfg: loss settings with ``ignore_bbox_thresh``.
    """
    plain = replace(cfg, ignore_bbox_thresh=None)
    everything, soft, truth = (split_targets(*pair) for pair in ((labels, plain), (labels, cfg), (hidden, plain)))
    nothing, below = torch.zeros_like(soft.ignored), everything.valid & ~soft.valid
    ways: Mapping[str, Boxes] = dict(
        zip(
            WAYS,
            (
                everything._replace(ignored=nothing),
                soft._replace(ignored=nothing),
                soft._replace(ignored=below),
                soft,
            ),
            strict=True,
        )
    )
    scores = raw[..., Output.OBJECTNESS], raw[..., Output.CLASSES]
    right = assign(truth, predicted, *scores, anchors)
    near = torch.stack(
        [
            (near_anchors(truth.box, anchors) & (truth.valid & (truth.class_id == c)).unsqueeze(-1)).any(dim=1)
            for c in range(cfg.num_classes)
        ]
    )  # [classes, N, A]
    loss = F.softplus(scores[0])
    return {
        name: _count(boxes, assign(boxes, predicted, *scores, anchors), truth, right, near, loss)
        for name, boxes in ways.items()
    }


def _count(
    boxes: Boxes, match: Assignment, truth: Boxes, right: Assignment, near: Tensor, loss: Tensor
) -> AnchorCounts:
    num_classes = len(near)

    def by_class(marks: Tensor, of: Boxes, by: Assignment, weight: Tensor | None = None) -> Tensor:
        """Marked anchors, or their weight, for each class of the box that ``by`` gives them."""
        classes = of.class_id.gather(1, by.box_index)[marks]
        return torch.bincount(classes, None if weight is None else weight[marks].double(), num_classes)

    ignored = match.ignored & ~match.foreground
    background = ~(match.foreground | ignored)
    on_objects, classes = right.foreground, boxes.class_id.gather(1, match.box_index)
    off = match.foreground & ~near.gather(0, classes.unsqueeze(0)).squeeze(0)
    return AnchorCounts(
        anchors=torch.tensor(loss.numel()),
        background=background.sum(),
        ignored=ignored.sum(),
        ignored_on_objects=(ignored & on_objects).sum(),
        wrong=by_class(off, boxes, match),
        foreground=by_class(match.foreground, boxes, match),
        objects=by_class(on_objects, truth, right),
        found=by_class(on_objects & match.foreground, truth, right),
        freed=by_class(on_objects & ignored, truth, right),
        missed=by_class(on_objects & background, truth, right),
        loss=loss[background].double().sum(),
        missed_loss=by_class(on_objects & background, truth, right, loss),
    )
