"""Whether a pseudo-label dataset has all its sequences, whose they are, and whether all its labels are used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.sequences.layout import SequencePaths, list_sequences
from modules.labelling.dataset import MANIFEST
from utils.errors import UserError

TRAIN = "train"
"""The split that is labelled."""

_SHARES = ("ratio", "train_ratio", "split_file")
"""Keys of a dataset that hide labels."""


def linked_source(split: Path | str, ev_repr_name: str, downsampled: bool) -> Path | None:
    """Split folder that a pseudo dataset's frames are linked from, None where frames are no links."""
    if not Path(split).is_dir():
        return None
    for root in list_sequences(split):
        h5 = SequencePaths(root, ev_repr_name, downsampled).h5
        if h5.is_symlink():
            return h5.resolve().parents[3]
    return None


def check_source(save_dir: Path, source_split: Path, ev_repr_name: str, downsampled: bool) -> None:
    """Let a folder be continued, or be called done, with the dataset only that it was begun with.

    Args:
        save_dir: split folder of the pseudo dataset.
        source_split: split folder whose sequences are to be labelled.
        ev_repr_name: name of the representation.
        downsampled: frames are at half resolution.

    Raises:
        UserError: its sequences are those of another dataset.
    """
    if not save_dir.is_dir():
        return
    for root in list_sequences(save_dir):
        places = [SequencePaths(split / root.name, ev_repr_name, downsampled) for split in (save_dir, source_split)]
        begun, wanted = (paths.h5.resolve() for paths in places)
        if begun != wanted:
            raise UserError(
                expected=f"a folder that was begun with {source_split}",
                got=f"frames of {begun}",
                where=f"save_dir={save_dir}",
                fix="choose another save_dir, or the dataset.path that this one was begun with",
            )


def check_finished(config: Mapping[str, Any]) -> None:
    """Refuse a pseudo-label dataset of which only a part is written, unless ``allow_unfinished`` says otherwise.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: labelling has not ended, or sequences are gone since.
    """
    dataset = config["dataset"]
    folder = Path(dataset["path"])
    content = None if config["allow_unfinished"] else _predicted(folder)
    if content is None:
        return
    complete, labelled = content["complete"], len(content.get("sequences", ()))
    split = folder / TRAIN
    done = len(list_sequences(split)) if split.is_dir() else 0
    if complete and done >= labelled:
        return
    representation, half = dataset["representation"]["name"], bool(dataset["downsample_by_factor_2"])
    source = linked_source(split, representation, half)
    total = len(list_sequences(source)) if source is not None and source.is_dir() else labelled
    raise UserError(
        expected="pseudo labels of all sequences",
        got=f"labelling unfinished: {done}{f' of {total}' if total else ''} sequences",
        where=str(split),
        fix="start the same predict.py command again, which labels the rest, or take what is there: "
        "allow_unfinished=true",
    )


def check_all_used(config: Mapping[str, Any]) -> None:
    """Refuse to train on a share of pseudo labels, unless ``allow_share`` says otherwise.

    The share that a teacher was trained on is no setting of its labels: it would hide most of them again.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: a key of the dataset hides labels of a dataset that ``predict.py`` has written.
    """
    dataset = config["dataset"]
    shares = {f"dataset.{key}": dataset[key] for key in _SHARES if dataset[key] is not None}
    if not shares or config["allow_share"] or _predicted(Path(dataset["path"])) is None:
        return
    raise UserError(
        expected="all labels of a dataset that predict.py has written",
        got=f"{', '.join(f'{key}={value}' for key, value in shares.items())}, which hides pseudo labels too",
        where=f"dataset.path={dataset['path']}",
        fix=f"add {' '.join(f'{key}=null' for key in shares)}; for a share of the pseudo labels: allow_share=true",
    )


def _predicted(folder: Path) -> dict[str, Any] | None:
    """The manifest of a pseudo-label dataset, None for other datasets and for what those who read it complain of."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        of_labels = content.get("complete") is not None  # no key of a dataset that was preprocessed
        len(content.get("sequences", ()))
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return content if of_labels else None


def check_labels(config: Mapping[str, Any]) -> None:
    """Refuse pseudo labels that are unfinished or that settings would hide, before a training begins.

    Raises:
        UserError: they are.
    """
    check_finished(config)
    check_all_used(config)
