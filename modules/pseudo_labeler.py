"""Labelling a training set with a trained detector (LEOD, CVPR 2024): stream, merge views, track, write.

Memory does not grow with the dataset: a sequence is written as soon as its last view is complete, and while it waits
for the time-reversed pass its few boxes lie on disk. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.labels.batched_labels import BatchedLabels
from data.sequences.layout import SequencePaths, StoredLabels, list_sequences, read_labels
from modules.evaluation.views import hflip_lanes, thin_lanes
from modules.labelling.config import PseudoLabelerConfig
from modules.labelling.dataset import KEPT_VIEWS_DIR, VIEWS_DIR, complete_dataset, prepare_dataset
from modules.labelling.detections import detections_to_labels
from modules.labelling.finished import check_source
from modules.labelling.late import write_late
from modules.labelling.saving import Saver
from modules.labelling.sequence_boxes import EventSeqData, sequence_of
from modules.labelling.teachers import SequenceDetector
from modules.labelling.views import read_views, write_views
from utils.atomic import remove_temporaries
from utils.boxes import FloatArray, Label
from utils.progress import track

__all__ = ["EventSeqData", "PseudoLabeler", "PseudoLabelerConfig", "SequenceDetector"]

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
BoolArray = npt.NDArray[np.bool_]
LoaderFactory = Callable[[bool, frozenset[str]], Iterable[Batch]]


class PseudoLabeler:
    """Writes pseudo labels for every sequence of a split as a dataset of the same layout.

    Args:
        config: settings.
        source_split: the split folder that the loaders read.
        save_dir: the new split folder, by custom ``…/train``.
        provenance: what else decides the labels (checkpoint, label rate, …), as JSON values; it is kept in the
            manifest, and a run with other values does not continue this one.
        is_main: this process writes the manifest, links and counts (rank 0).
        barrier: waits for the other processes, each of which labels its share of the sequences.
        teacher: file of the detector, for messages.

    Raises:
        UserError: ``save_dir`` cannot be written or continued, see ``prepare_dataset`` and ``check_source``.
    """

    def __init__(
        self,
        config: PseudoLabelerConfig,
        source_split: Path | str,
        save_dir: Path | str,
        provenance: Mapping[str, Any] | None = None,
        is_main: bool = True,
        barrier: Callable[[], None] | None = None,
        teacher: str | None = None,
    ) -> None:
        self.config = config
        self.source_split = Path(source_split)
        self.save_dir = Path(save_dir)
        self.is_main = is_main
        self._barrier = barrier or (lambda: None)
        self._views_dir = self.save_dir / VIEWS_DIR
        self._kept = self.save_dir.parent / KEPT_VIEWS_DIR
        self._scale = 2 if config.downsampled else 1
        self._flips = (False, True) if config.hflip else (False,)
        self._limits, self._selection = config.before_merging(), config.selection()
        settings = {**config.settings(), "provenance": dict(provenance or {})}
        prepare_dataset(self.save_dir, self.source_split, settings, write=is_main, teacher=teacher)
        check_source(self.save_dir, self.source_split, config.ev_repr_name, config.downsampled)
        self._open: dict[str, EventSeqData] = {}
        self._stored: dict[str, StoredLabels] = {}

    def run(self, module: SequenceDetector, make_loader: LoaderFactory) -> dict[str, Any]:
        """Label all sequences that are not finished yet.

        Args:
            module: the detector, in evaluation mode, on its device.
            make_loader: called as ``make_loader(reverse, finished)`` for each pass; gives this process's batches of
                the stream over whole sequences. It may leave out batches whose lanes all belong to finished sequences
                (given by name, the same on all processes), but must not change the others, so that a continued run
                ends with the same bytes.

        Returns:
            Summary of the whole dataset, see ``complete_dataset``.
        """
        everything = frozenset(root.name for root in list_sequences(self.source_split))
        for reverse in (False, True) if self.config.tflip else (False,):
            self._barrier()
            finished = self._finished() if reverse else self._finished() | self._waiting()
            self._barrier()  # nobody finishes a sequence before everybody has looked
            self._pass(module, make_loader, everything, finished, reverse=reverse)
        self._barrier()
        if not self.is_main:
            return {}
        config = self.config
        if config.rule is not None:
            write_late(config, self.source_split, self.save_dir, self._kept)
        self._tidy(everything)
        return complete_dataset(
            self.save_dir, self.source_split, config.ev_repr_name, config.downsampled, config.classes
        )

    def _tidy(self, everything: frozenset[str]) -> None:
        """Remove what runs that were stopped have left, and nothing else."""
        for folder in (self._views_dir, self.save_dir, self._kept):
            remove_temporaries(folder)
        for name in everything:
            (self._views_dir / f"{name}.npz").unlink(missing_ok=True)
        for folder in (self._views_dir, self._kept):
            with suppress(OSError):  # not there, or with something in it, also of somebody else's
                folder.rmdir()

    def _finished(self) -> frozenset[str]:
        """Sequences that are written, or lack nothing but thresholds."""
        late = [] if self.config.rule is None else self._kept.glob("[!.]*.npz")
        return frozenset([root.name for root in list_sequences(self.save_dir)] + [path.stem for path in late])

    def _waiting(self) -> frozenset[str]:
        return frozenset(path.stem for path in self._views_dir.glob("*.npz") if not path.name.startswith("."))

    def _pass(
        self,
        module: SequenceDetector,
        make_loader: LoaderFactory,
        everything: frozenset[str],
        finished: frozenset[str],
        *,
        reverse: bool,
    ) -> None:
        if everything <= finished:
            logger.info("all %d sequences have their %s view", len(everything), "backward" if reverse else "forward")
            return
        loader = make_loader(reverse, finished)
        total = len(loader) if hasattr(loader, "__len__") else None  # pyright: ignore[reportArgumentType]
        states: dict[int, Any] = {}
        done = set(finished)
        with Saver() as saver:
            for batch in track(loader, total=total, desc=f"label {'backward' if reverse else 'forward'}", unit="batch"):
                needed = np.array([bool(path) and Path(path).name not in done for path in batch["path"]])
                if needed.any():
                    self._label_batch(module, batch, states, needed, reverse=reverse)
                    done.update(self._close_ended(batch, needed, saver, reverse=reverse))
        if self._open:
            raise RuntimeError(f"the stream ended within {len(self._open)} sequences, {min(self._open)} among them")

    @torch.inference_mode()
    def _label_batch(
        self, module: SequenceDetector, batch: Batch, states: dict[int, Any], needed: BoolArray, *, reverse: bool
    ) -> None:
        config, inputs, is_first = self.config, batch["inputs"], batch["is_first"]
        thins = (False, True) if config.drop_events and not reverse else (False,)
        if config.drop_events and len(thins) > 1:
            paths = [path if wanted else "" for path, wanted in zip(batch["path"], needed, strict=True)]
            inputs = thin_lanes(inputs, paths, batch["ev_idx"].cpu().numpy(), config.drop_events)
            is_first = torch.cat([is_first, is_first])
        inputs = inputs.to(module.device, non_blocking=True)
        if config.hflip:
            inputs, is_first = hflip_lanes(inputs), torch.cat([is_first, is_first])
        worker = int(batch["worker_id"])
        detections, states[worker] = module.detect_sequence(inputs.data, states.get(worker), is_first)
        labelled = _ground_truth_frames(batch["labels"]) & config.use_gt  # [L, B]
        wanted = needed & ~batch["is_padded"].cpu().numpy() & ~(labelled & (config.precision is None))
        lanes, views = len(needed), product(range(config.teachers or 1), self._flips, thins)
        for view, (teacher, is_hflip, is_thinned) in enumerate(views):
            cells = [(int(t), int(b)) for t, b in np.argwhere(wanted)]
            found = [detections[t][b + view * lanes] for t, b in cells]
            labels = dict(zip(cells, self._to_labels(found, inputs.size_hw), strict=True))
            for lane in np.flatnonzero(needed).tolist():
                self._sequence(batch["path"][lane]).update(
                    [labels.get((t, lane)) for t in range(len(wanted))],
                    batch["ev_idx"][:, lane].tolist(),
                    is_hflip=is_hflip,
                    is_tflip=reverse,
                    tflip_offset=config.tflip_offset,
                    is_thinned=is_thinned,
                    teacher=teacher,
                )
        if not reverse:
            self._keep_ground_truth(batch, labelled & needed)

    def _to_labels(self, detections: list[Tensor], frame_hw: tuple[int, int]) -> list[FloatArray]:
        """Turn detections [n, 7] of many frames into label rows at once, with one transfer from the device."""
        if not detections:
            return []
        rows, keep = detections_to_labels(torch.cat(detections).float().cpu().numpy(), self._limits, frame_hw)
        frame = np.repeat(np.arange(len(detections)), [len(found) for found in detections])[keep]
        return np.split(rows, np.cumsum(np.bincount(frame, minlength=len(detections)))[:-1])

    def _sequence(self, path: str) -> EventSeqData:
        if path not in self._open:
            self._open[path] = sequence_of(self.config, path, self._scale, self._selection)
        return self._open[path]

    def _keep_ground_truth(self, batch: Batch, labelled: BoolArray) -> None:
        """Take the records of visible labelled frames from disk: exact times, uncut boxes at full resolution."""
        for t, lane in np.argwhere(labelled).tolist():
            path, frame = batch["path"][lane], int(batch["ev_idx"][t, lane])
            if path not in self._stored:
                self._stored[path] = read_labels(self._paths(path))
            stored = self._stored[path]
            index = int(np.searchsorted(stored.objframe_idx_2_repr_idx, frame))
            if stored.objframe_idx_2_repr_idx[index : index + 1].tolist() != [frame]:
                raise RuntimeError(f"{path}: frame {frame} is labelled in the batch and not on disk")
            records = stored.frame(index)
            self._sequence(path).set_ground_truth(frame, records[records["t"] > 0])

    def _close_ended(self, batch: Batch, needed: BoolArray, saver: Saver, *, reverse: bool) -> list[str]:
        """Let the sequences be saved, or laid aside for the reversed pass, whose last chunk this batch held."""
        ended = [batch["path"][lane] for lane in np.flatnonzero(needed & batch["is_last"].cpu().numpy()).tolist()]
        for path in ended:
            sequence = self._open.pop(path)
            self._stored.pop(path, None)
            saver.later(partial(self._save, path, sequence, reverse=reverse))
        return [Path(path).name for path in ended]

    def _save(self, path: str, sequence: EventSeqData, *, reverse: bool) -> None:
        """Write a sequence, which nobody else has any more; each file appears whole or not at all."""
        waiting = self._views_dir / f"{sequence.path.name}.npz"
        if self.config.tflip and not reverse:
            write_views(waiting, sequence.state())
            return
        if reverse:
            sequence.add_state(read_views(waiting))
        if self.config.keep_views or self.config.rule is not None:
            write_views(self._kept / waiting.name, sequence.state())
        if self.config.rule is None:
            sequence.save(self.save_dir, self._paths(path))
        waiting.unlink(missing_ok=True)

    def _paths(self, path: str) -> SequencePaths:
        return SequencePaths(Path(path), self.config.ev_repr_name, self.config.downsampled)


def _ground_truth_frames(labels: BatchedLabels) -> BoolArray:
    """Mark the frames [L, B] that show ground truth; hidden labels are not in ``labels`` at all."""
    frames = np.zeros(labels.labelled.numel(), dtype=bool)
    frames[labels.frame_id[labels.rows[:, Label.T] > 0].cpu().numpy()] = True
    return frames.reshape(tuple(labels.labelled.shape))
