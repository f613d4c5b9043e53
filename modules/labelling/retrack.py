"""Tracking an existing pseudo-label dataset again, without the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data.sequences.layout import SequencePaths, list_sequences, read_labels
from modules.labelling.config import PseudoLabelerConfig
from modules.labelling.dataset import complete_dataset, prepare_dataset
from modules.labelling.sequence_boxes import EventSeqData
from utils.boxes import IGNORE_LABEL, Label, records_to_rows
from utils.progress import track


def retrack_dataset(
    config: PseudoLabelerConfig,
    labels_split: Path | str,
    save_dir: Path | str,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Apply thresholds and tracking of ``config`` to the labels of ``labels_split`` and write them as a new dataset.

    Best done on a dataset written with ``min_track_len=0``: a box that an earlier tracking dropped has lost its class
    and stays ignored. Boxes that an earlier run painted in are left out; ground truth stays as it is.

    Returns:
        Summary of the new dataset, see ``complete_dataset``.

    Raises:
        UserError: ``save_dir`` cannot be written or continued, see ``prepare_dataset``.
    """
    labels_split, save_dir = Path(labels_split), Path(save_dir)
    settings = {**asdict(config), "provenance": {**(provenance or {}), "only_load_labels": True}}
    prepare_dataset(save_dir, labels_split, settings)
    finished = {root.name for root in list_sequences(save_dir)}
    todo = [root for root in list_sequences(labels_split) if root.name not in finished]
    for root in track(todo, desc="track labels", unit="sequence"):
        source = SequencePaths(root, config.ev_repr_name, config.downsampled)
        stored = read_labels(source)
        sequence = EventSeqData(root, config.sensor_hw, 1, config.tracking, config.nms_threshold)
        for index, frame in enumerate(stored.objframe_idx_2_repr_idx.tolist()):
            records = stored.frame(index)
            if (records["t"] > 0).any():
                sequence.set_ground_truth(frame, records)
                continue
            rows = records_to_rows(records)
            passed = config.thresholds.mask(
                rows[:, Label.CLASS_ID], rows[:, Label.OBJECTNESS], rows[:, Label.CLASS_CONFIDENCE]
            )
            keep = passed | ((records["class_id"] == IGNORE_LABEL) & (records["objectness"] > 0))
            sequence.update([rows[keep]], np.array([frame]))
        sequence.save(save_dir, source)
    return complete_dataset(save_dir, labels_split, config.ev_repr_name, config.downsampled, config.classes)
