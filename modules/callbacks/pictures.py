"""Pictures of detections beside the labels, in training and in validation."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from data.payloads.frames import FrameInputs
from modules.checkpoints.names import PICTURES
from modules.detection import Module
from modules.playback.sequence import event_counts
from utils.boxes import IGNORE_LABEL, class_name
from utils.pictures.boxes import BoxKind, DrawnBox, draw_boxes
from utils.pictures.drawing import DARK, Image, draw_events, exposure, scale_events
from utils.pictures.overlay import draw_caption
from utils.settings import whole

log = logging.getLogger(__name__)

_LEAST_WIDTH = 640


@dataclass(frozen=True)
class PictureSettings:
    """``logging.pictures`` of the config.

    Args:
        train_every_n_steps: optimiser steps between two pictures of training; 0 draws none.
        validation: pictures of each validation; 0 draws none.

    Raises:
        UserError: a number out of range.
    """

    train_every_n_steps: int
    validation: int

    def __post_init__(self) -> None:
        for name in ("train_every_n_steps", "validation"):
            whole(getattr(self, name), f"logging.pictures.{name}", 0)


def picture(
    frame: npt.NDArray[Any], labels: npt.NDArray[Any] | None, detections: npt.NDArray[Any], classes: Sequence[str]
) -> Image:
    """Events of a frame with its labels (dashed) and detections (whole lines, with their score).

    Args:
        frame: [C, H, W] of any representation.
        labels: boxes, ``BBOX_DTYPE`` [n], pixels of the frame.
        detections: float [n, 7], see ``Module.detect_sequence``.
        classes: names by class id.

    Returns:
        uint8 [h, w, 3], RGB, at least 640 pixels wide.
    """
    counts = event_counts(frame)
    height, width = counts.shape[1:]
    factor = max(1, -(-_LEAST_WIDTH // width))
    image = scale_events(draw_events(counts, DARK, exposure(counts)), factor * height, factor * width, DARK)
    boxes = []
    for box in labels if labels is not None else ():
        x, y, w, h = (float(box[name]) for name in ("x", "y", "w", "h"))
        ignored = int(box["class_id"]) == IGNORE_LABEL
        text = "ignored" if ignored else class_name(classes, int(box["class_id"]))
        kind = BoxKind.IGNORED if ignored else BoxKind.TRUTH
        boxes.append(DrawnBox((x, y, x + w, y + h), kind, int(box["class_id"]), text))
    for x1, y1, x2, y2, objectness, confidence, label in detections.tolist():
        text = f"{class_name(classes, int(label))} {objectness * confidence:.2f}"
        boxes.append(DrawnBox((x1, y1, x2, y2), BoxKind.PREDICTION, int(label), text))
    draw_boxes(image, [box.scaled(factor, factor) for box in boxes], DARK)
    return image


class Pictures(Callback):
    """Draws detections of labelled frames into ``pictures`` of the run's folder, and into TensorBoard or W&B.

    In training the first labelled lane of a batch is looked at once more, without its past and without learning from
    it; random numbers and statistics stay as they are. In validation the pictures show what is evaluated.

    Args:
        settings: how often.
        folder: of the run.
        classes: names by class id.
    """

    def __init__(self, settings: PictureSettings, folder: Path, classes: Sequence[str]) -> None:
        self.settings, self.folder, self.classes = settings, folder, classes
        self._left = 0
        self._seen: set[str] = set()
        self._seen_step = -1

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the last labelled frame of a lane, every so many steps."""
        every, step = self.settings.train_every_n_steps, trainer.global_step
        if every == 0 or not isinstance(pl_module, Module):
            return
        if step == self._seen_step or step % every or not trainer.is_global_zero:
            return
        self._seen_step = step
        place = last_labelled(batch)
        if place is None:
            return
        t, lane = place
        pl_module.eval()
        try:
            with trainer.precision_plugin.forward_context():
                frames = batch["inputs"].data[: t + 1, lane : lane + 1]
                found, _ = pl_module.detect_sequence(frames, None, torch.ones(1, dtype=torch.bool))
        finally:
            pl_module.train()
        self._draw(trainer, batch, t, lane, found[t][0].cpu().float().numpy(), f"train_{step:08d}")

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count anew."""
        self._seen.clear()
        self._left = self.settings.validation if trainer.is_global_zero and not trainer.sanity_checking else 0

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw a frame that was just evaluated, each of another sequence, until there are enough of them."""
        if self._left == 0 or dataloader_idx > 0 or not isinstance(pl_module, Module):
            return
        place = last_labelled(batch, self._seen)
        if place is None:
            return
        t, lane = place
        views = pl_module.evaluation.collector.views.get(pl_module.evaluation.key(batch, t, lane))
        if not views:
            return
        number = self.settings.validation - self._left
        self._left -= 1
        self._seen.add(batch["path"][lane])
        self._draw(trainer, batch, t, lane, views[0], f"val_{trainer.global_step:08d}_{number:02d}")

    def _draw(
        self,
        trainer: pl.Trainer,
        batch: Mapping[str, Any],
        t: int,
        lane: int,
        detections: npt.NDArray[Any],
        name: str,
    ) -> None:
        from utils.pictures.video import save_png  # FFmpeg's libraries; most runs draw no pictures

        labels = batch["labels"].at(t, lane)
        frame = batch["inputs"].picture(t, lane)
        image = picture(frame, None if labels is None else labels.to_structured(), detections, self.classes)
        draw_caption(image, f"{Path(batch['path'][lane]).name}, frame {int(batch['ev_idx'][t, lane])}", DARK)
        save_png(self.folder / PICTURES / f"{name}.png", image)
        tag = f"detections/{name.split('_')[0]}"
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(tag, np.ascontiguousarray(image), trainer.global_step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image(tag, [image], step=trainer.global_step, caption=[name])


def last_labelled(batch: Mapping[str, Any], seen: Collection[str] = ()) -> tuple[int, int] | None:
    """Time and lane of the last frame with a box, of a sequence that is not among those seen.

    Returns:
        None if there is none, or if the model does not look at frames.
    """
    if not isinstance(batch["inputs"], FrameInputs):
        return None
    labels = batch["labels"]
    lanes = [lane for lane, path in enumerate(batch["path"]) if path not in seen]
    ids = labels.frame_id[torch.isin(labels.frame_id % labels.batch_size, torch.tensor(lanes, dtype=torch.int64))]
    return divmod(int(ids[-1]), labels.batch_size) if len(ids) else None
