"""Tracking an existing pseudo-label dataset again, without the detector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data.sequences.layout import SequencePaths, StoredLabels, list_sequences, read_labels
from modules.labelling.config import PseudoLabelerConfig
from modules.labelling.dataset import KEPT_VIEWS_DIR, complete_dataset, prepare_dataset, read_settings
from modules.labelling.late import late_selection, sequence_of_views
from modules.labelling.sequence_boxes import EventSeqData, sequence_of
from utils.boxes import IGNORE_LABEL, ScoreLimits, records_to_rows, rows_above
from utils.errors import UserError
from utils.progress import track


def retrack_dataset(
    config: PseudoLabelerConfig,
    labels_split: Path | str,
    save_dir: Path | str,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Apply thresholds and tracking of ``config`` to the labels of ``labels_split`` and write them as a new dataset.

    Best done on a dataset written with ``min_track_len=0``: a box that an earlier tracking dropped has lost its class
    and stays ignored. Boxes that an earlier run painted in are left out; ground truth stays as it is. To merge views
    by agreement, and for the joint tracker, those that were kept are taken in place of the labels: scores below the
    thresholds of then are there.

    Returns:
        Summary of the new dataset, see ``complete_dataset``.

    Raises:
        UserError: ``save_dir`` cannot be written or continued, see ``prepare_dataset``; or views are needed and were
            not kept.
    """
    labels_split, save_dir = Path(labels_split), Path(save_dir)
    settings = {**config.settings(), "provenance": {**(provenance or {}), "only_load_labels": True}}
    views = _kept_views(labels_split.parent, config) if config.chooses_late else None
    prepare_dataset(save_dir, labels_split, settings)
    selection = config.selection()
    if views is not None:
        selection = late_selection(config, save_dir.parent, list_sequences(labels_split), views)
    finished = {root.name for root in list_sequences(save_dir)}
    todo = [root for root in list_sequences(labels_split) if root.name not in finished]
    for root in track(todo, desc="track labels", unit="sequence"):
        source = SequencePaths(root, config.ev_repr_name, config.downsampled)
        if views is None:
            sequence = sequence_of(config, root, 1, selection)
            _take_labels(sequence, read_labels(source), config.before_merging())
        else:
            sequence = sequence_of_views(config, root, views, selection)
        sequence.save(save_dir, source)
    return complete_dataset(save_dir, labels_split, config.ev_repr_name, config.downsampled, config.classes)


def _kept_views(dataset: Path, config: PseudoLabelerConfig) -> Path | None:
    """Folder with the boxes of all views; None where there is none and the labels will do as they were merged."""
    views = dataset / KEPT_VIEWS_DIR
    if views.is_dir():
        if config.precision is not None and "precision" not in read_settings(dataset):
            raise UserError(
                expected="boxes of views on frames with ground truth too, which tell how often the teacher is right",
                got="labels that were made without model.pseudo_label.thresholds=precision",
                where=str(views),
                fix="label anew with it, or track the labels with other thresholds",
            )
        return views
    as_merged = config.agreement is None or config.settings()["agreement"] == read_settings(dataset).get("agreement")
    if config.rule is None and as_merged:
        return None
    raise UserError(
        expected="boxes of all views, as the labels were merged or chosen in another way",
        got="no such folder",
        where=str(views),
        fix="label with model.pseudo_label.keep_views=true, or track the labels as they are: "
        "tta.merge=nms model.pseudo_label.thresholds=fixed",
    )


def _take_labels(sequence: EventSeqData, stored: StoredLabels, limits: ScoreLimits) -> None:
    """Give a sequence its boxes of before, without those that tracking has painted in."""
    for index, frame in enumerate(stored.objframe_idx_2_repr_idx.tolist()):
        records = stored.frame(index)
        if (records["t"] > 0).any():
            sequence.set_ground_truth(frame, records)
            continue
        rows = records_to_rows(records)
        keep = rows_above(rows, limits) | ((records["class_id"] == IGNORE_LABEL) & (records["objectness"] > 0))
        sequence.update([rows[keep]], np.array([frame]))
