"""What lies around the sequences of a pseudo-label dataset: its manifest, its counts and its links."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.sequences.layout import SequencePaths, StoredLabels, list_sequences, read_labels
from utils.atomic import write_json
from utils.boxes import IGNORE_LABEL
from utils.errors import UserError
from utils.json_files import read_json

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
CHECKSUM = "provenance.checkpoint_sha256"
"""The setting by which a teacher is known."""
_KEYS = {
    "agreement.": "tta.merge_",
    "drop_events": "tta.drop_events",
    "frequency.floor": "tta.merge_floor",
    "frequency.": "model.pseudo_label.frequency_",
    "frequency.unsure_factor": "model.pseudo_label.unsure_factor",
    "precision.": "model.pseudo_label.precision_",
    "precision.floor": "tta.merge_floor",
    "precision.unsure": "model.pseudo_label.unsure_precision",
    "nms_threshold": "model.postprocess.nms_threshold",
    "thresholds.class_confidence": "model.pseudo_label.cls_thresh",
    "thresholds.objectness": "model.pseudo_label.obj_thresh",
    "tracking.": "model.pseudo_label.",
    "tracking.joint.": "model.pseudo_label.",
    "tracking.joint.floor": "model.pseudo_label.track_floor",
    "tracking.tracker.": "model.pseudo_label.",
    "unsure.": "model.pseudo_label.unsure_thresh.",
}
"""Settings that are called otherwise in the configuration; the longest beginning counts."""
VIEWS_DIR = ".views"
"""Folder in an unfinished split for the boxes of sequences that wait for a second pass."""
KEPT_VIEWS_DIR = "views"
"""Folder beside the split for the boxes of all views, one file a sequence, if they are kept."""


def prepare_dataset(
    save_dir: Path,
    source_split: Path,
    settings: Mapping[str, Any],
    *,
    write: bool = True,
    teacher: str | None = None,
) -> None:
    """Check that ``save_dir`` may be written (or continued) with these settings, and note them in the manifest.

    Args:
        save_dir: split folder of the new dataset; the manifest lies beside it.
        source_split: split folder the frames come from.
        settings: everything that decides the labels, as JSON values.
        write: write the manifest if there is none (the main process only).
        teacher: file of the detector, for messages; the settings know it by its checksum, wherever it lies.

    Raises:
        UserError: see ``check_target``; or ``save_dir`` holds sequences of unknown origin, or was begun with other
            settings; the message names those that differ.
    """
    check_target(save_dir, source_split)
    manifest = save_dir.parent / MANIFEST
    current = json.loads(json.dumps(settings))
    if manifest.is_file():
        previous = read_manifest(save_dir.parent)
        files = {"before": previous.get("teacher"), "now": teacher}
        differing = _differences(previous["settings"], current, files)
        if differing:
            raise UserError(
                expected="the settings the folder was begun with",
                got="; ".join(differing),
                where=str(manifest),
                fix="use the same settings to go on, or another save_dir",
            )
        return
    if save_dir.is_dir() and list_sequences(save_dir):
        raise UserError(
            expected="an empty folder, or one with its manifest",
            got=f"sequences and no {MANIFEST}",
            where=str(save_dir),
            fix="choose another save_dir, or delete this one",
        )
    save_dir.mkdir(parents=True, exist_ok=True)
    if write:
        write_json(manifest, {"settings": current, **_teacher(teacher), "complete": False})


def read_settings(folder: Path, kind: Mapping[str, type] | None = None) -> dict[str, Any]:
    """Settings in the manifest of a pseudo-label dataset, see ``read_manifest``."""
    return read_manifest(folder, kind)["settings"]


def read_manifest(folder: Path, kind: Mapping[str, type] | None = None) -> dict[str, Any]:
    """The manifest of a pseudo-label dataset.

    Args:
        folder: of the dataset, with the split beside the manifest.
        kind: of the settings that are needed.

    Raises:
        UserError: the manifest cannot be read, or one of them is missing or of another kind.
    """
    return read_json(
        folder / MANIFEST,
        {"settings": kind or {}, "teacher?": str},
        expected="the manifest of a pseudo-label dataset",
        fix=f"label again into another save_dir, or remove {folder}",
    )


def noted_thresholds(folder: Path) -> dict[str, tuple[float, ...]] | None:
    """Thresholds by purpose, one number per class, that ``note_thresholds`` has kept; None: none were."""
    noted = read_manifest(folder).get("thresholds")
    return None if noted is None else {key: tuple(least) for key, least in noted.items()}


def note_thresholds(folder: Path, thresholds: Mapping[str, Sequence[float]]) -> None:
    """Keep thresholds in the manifest of the dataset in ``folder``."""
    write_json(folder / MANIFEST, {**read_manifest(folder), **_thresholds(thresholds)})


def _thresholds(thresholds: Mapping[str, Sequence[float]] | None) -> dict[str, Any]:
    return {} if thresholds is None else {"thresholds": thresholds}


def _teacher(file: str | None) -> dict[str, str]:
    return {} if file is None else {"teacher": file}


def check_target(save_dir: Path, source_split: Path) -> None:
    """Refuse to write labels into the dataset they are made from, by whatever links it is reached.

    Args:
        save_dir: split folder of the new dataset.
        source_split: split folder the frames come from.

    Raises:
        UserError: ``save_dir`` lies in a split of the source or beside one, or is a link that leaves its folder.
    """
    real, source = save_dir.resolve(), source_split.parent
    splits = [(source / split).resolve() for split in ("train", "val", "test")]
    theirs = [split for split in splits if real.is_relative_to(split)]
    if theirs or real.parent in (source.resolve(), *(split.parent for split in splits)):
        got = f"the source's own folder, {theirs[0] if theirs else real.parent}"
    elif save_dir.is_symlink() and real.parent != save_dir.parent.resolve():
        got = f"a link to {real}"
    else:
        return
    raise UserError(
        expected="a new folder",
        got=got,
        where=f"save_dir={save_dir}",
        fix="choose another folder, for example ./datasets/pseudo_<name>/<round>/train",
    )


def complete_dataset(
    save_dir: Path, source_split: Path, ev_repr_name: str, downsampled: bool, classes: Sequence[str]
) -> dict[str, Any]:
    """Link val and test, count the labels and close the manifest.

    Returns:
        Summary: number of sequences, those missing, and counts as of ``count_labels`` over all sequences.
    """
    for split in ("val", "test"):
        _link(save_dir.parent / split, source_split.parent / split)
    sequences = {
        root.name: count_labels(read_labels(SequencePaths(root, ev_repr_name, downsampled)), classes)
        for root in list_sequences(save_dir)
    }
    missing = [root.name for root in list_sequences(source_split) if root.name not in sequences]
    if missing:
        logger.warning("%d sequences of %s were not labelled, %s first", len(missing), source_split, missing[0])
    totals: dict[str, int] = {}
    for counts in sequences.values():
        for name, value in counts.items():
            totals[name] = totals.get(name, 0) + value
    summary = {"sequences": len(sequences), "missing": missing, **totals}
    manifest = save_dir.parent / MANIFEST
    begun = read_manifest(save_dir.parent)
    begun = {
        "settings": begun["settings"],
        **_teacher(begun.get("teacher")),
        **_thresholds(noted_thresholds(save_dir.parent)),
    }
    write_json(manifest, {**begun, "complete": True, "summary": summary, "sequences": sequences})
    return summary


def count_labels(labels: StoredLabels, classes: Sequence[str]) -> dict[str, int]:
    """Count labelled frames, boxes of ground truth, pseudo boxes by class, dropped and painted ignored boxes."""
    boxes = labels.boxes
    pseudo, ignored = boxes["t"] == 0, boxes["class_id"] == IGNORE_LABEL
    scored = boxes["objectness"] > 0
    counts = {
        "frames": len(labels),
        "ground_truth": ~pseudo,
        "pseudo": pseudo & ~ignored,
        **{f"pseudo_{name}": pseudo & (boxes["class_id"] == index) for index, name in enumerate(classes)},
        "ignored_short_track": ignored & scored,
        "ignored_inpainted": ignored & ~scored,
    }
    return {name: int(np.sum(value)) for name, value in counts.items()}


def _link(link: Path, target: Path) -> None:
    if not target.exists():
        logger.warning("no %s to link to", target)
        return
    target = target.resolve()
    if link.is_symlink() and link.resolve() == target:
        return
    if link.is_symlink() or link.exists():
        raise UserError(
            expected=f"a link to {target}, or nothing",
            got=f"a link to {link.resolve()}" if link.is_symlink() else "a file or folder",
            where=str(link),
            fix="remove it, or choose another save_dir",
        )
    link.symlink_to(target, target_is_directory=True)


def _differences(previous: Mapping[str, Any], current: Mapping[str, Any], files: Mapping[str, str | None]) -> list[str]:
    """What is another setting than before; of another teacher the two files, if they are known."""
    old, new = _flat(previous), _flat(current)
    known = all(files.values()) and len(set(files.values())) > 1
    teachers = {CHECKSUM: f"the teacher is {files['now']}, was {files['before']}"} if known else {}
    return [
        teachers.get(key, f"{_config_key(key)} is {new.get(key, 'absent')}, was {old.get(key, 'absent')}")
        for key in sorted(old.keys() | new.keys())
        if old.get(key, "absent") != new.get(key, "absent")
    ]


def _config_key(setting: str) -> str:
    start = max((start for start in _KEYS if setting.startswith(start)), key=len, default="")
    return _KEYS.get(start, "") + setting.removeprefix(start)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
