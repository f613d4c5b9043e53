"""Thresholds that follow from the boxes of the whole dataset: found once, kept in the manifest, then applied."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from data.sequences.layout import SequencePaths, list_sequences
from modules.labelling.config import PseudoLabelerConfig
from modules.labelling.dataset import note_thresholds, noted_thresholds
from modules.labelling.frequency import BoxCounts, ProductThresholds
from modules.labelling.precision import Precision, RightBoxes
from modules.labelling.selection import Selection
from modules.labelling.sequence_boxes import EventSeqData, sequence_of
from modules.labelling.views import boxes_above, read_views
from utils.progress import track

logger = logging.getLogger(__name__)


def sequence_of_views(
    config: PseudoLabelerConfig, path: Path, views: Path, selection: Selection | None = None
) -> EventSeqData:
    """A sequence with its kept boxes that are above the scores of ``config``.

    Args:
        config: settings.
        path: the sequence's folder.
        views: folder with the boxes of all views.
        selection: which merged boxes are labels.
    """
    sequence = sequence_of(config, path, 1, selection)
    sequence.add_state(boxes_above(read_views(views / f"{path.name}.npz"), config.before_merging()))
    return sequence


def late_selection(
    config: PseudoLabelerConfig, dataset: Path, sequences: Iterable[Path], views: Path
) -> Selection | None:
    """How labels are chosen once the boxes of all sequences are known.

    The thresholds of a dataset are chosen before its first sequence is written, so that a run which was stopped goes
    on with the same ones.

    Args:
        config: settings.
        dataset: folder of the manifest that keeps the thresholds.
        sequences: folders of all sequences that have views.
        views: folder with the boxes of all views.

    Raises:
        UserError: no frame with ground truth tells how often a class occurs, or a teacher is right.
    """
    rule = config.rule
    if rule is None:
        return config.selection()
    noted = noted_thresholds(dataset)
    if noted is None:
        counts = (RightBoxes if isinstance(rule, Precision) else BoxCounts)(len(config.classes))
        for path in track(list(sequences), desc="count boxes", unit="sequence"):
            sequence = sequence_of_views(config, path, views)
            if isinstance(counts, RightBoxes):
                counts.add(sequence.judged())
            else:
                counts.add(list(sequence.ground_truth.values()), *sequence.candidates())
        noted = {key: counts.thresholds(aim) for key, aim in rule.aims.items()}
        note_thresholds(dataset, noted)
        for key, least in noted.items():
            by_class = zip(config.classes, least, strict=True)
            logger.info("thresholds, %s: %s", key, ", ".join(f"{name} {value:.4f}" for name, value in by_class))
        if 0 in noted["sure"]:
            logger.warning("a class has fewer candidates than labels are wanted: all of them become labels")
        never = [name for name, least in zip(config.classes, noted["sure"], strict=True) if least > 1]
        if never and isinstance(rule, Precision):
            logger.warning("no labels of %s: no score is right often enough on labelled frames", ", ".join(never))
    unsure = ProductThresholds(noted["unsure"]) if "unsure" in noted else config.unsure
    return config.selection(ProductThresholds(noted["sure"]), unsure)


def write_late(config: PseudoLabelerConfig, source_split: Path, save_dir: Path, views: Path) -> None:
    """Write the sequences of which all views are there, unless they are written, and remove views that are not kept.

    Args:
        config: settings.
        source_split: split folder the frames come from.
        save_dir: the new split folder; the manifest beside it keeps the thresholds.
        views: folder with the boxes of all views.
    """
    written = {root.name for root in list_sequences(save_dir)}
    roots = [root for root in list_sequences(source_split) if (views / f"{root.name}.npz").is_file()]
    selection = late_selection(config, save_dir.parent, roots, views)
    for root in roots:
        if root.name not in written:
            source = SequencePaths(root, config.ev_repr_name, config.downsampled)
            sequence_of_views(config, root, views, selection).save(save_dir, source)
        if not config.keep_views:
            (views / f"{root.name}.npz").unlink()
