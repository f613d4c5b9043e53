"""Checks of a dataset against the config, before anything is computed or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.data.genx import DataModule
from utils.boxes import IGNORE_LABEL, LABEL_COLUMNS
from utils.errors import UserError


def check_data(data_module: DataModule, split: str, classes: Sequence[str]) -> None:
    """Check what would otherwise only show after files were written: class ids, the size of frames, the training plan.

    Raises:
        UserError: labels of another class, frames of another size, or nothing to train on.
    """
    check_class_ids(data_module, split, classes)
    check_frame_size(data_module, split)
    if split == "train":
        data_module.train_plan()


def check_sizes(model: Mapping[str, Any], dataset: Mapping[str, Any], frame_hw: tuple[int, int]) -> None:
    """Check that what a network has by the dataset is what the dataset has.

    Args:
        model: the section of this name.
        dataset: likewise.
        frame_hw: size of its frames.

    Raises:
        UserError: another number of classes or of channels, or frames of another size.
    """
    classes, channels = len(dataset["classes"]), dataset["representation"]["channels"]
    wanted: dict[tuple[str, ...], Any] = {
        ("num_classes",): classes,
        ("head", "num_classes"): classes,
        ("backbone", "input_channels"): channels,
        ("frame_hw",): list(frame_hw),
    }
    for key, right in wanted.items():
        value: Any = model
        for part in key:
            value = value.get(part, right) if isinstance(value, Mapping) else right
        if value != right:
            raise UserError(
                expected=f"{right}, as the dataset has",
                got=repr(value),
                where=f"model.{'.'.join(key)}",
                fix="leave it out, or choose the dataset that it belongs to",
            )


def check_frame_size(data_module: DataModule, split: str) -> None:
    """Compare the first readable file of frames with the configuration; others are compared when they are read.

    Raises:
        UserError: another height or width.
    """
    wanted = data_module.cfg.frame_hw
    for sequence in data_module.sequences(split):
        try:
            size = sequence.reader.shape[-2:]
        except UserError:
            continue  # told, or left out, when its frames are needed
        if size != wanted:
            raise UserError(
                expected=f"frames of {wanted[0]} x {wanted[1]} pixels",
                got=f"{size[0]} x {size[1]}",
                where=str(sequence.paths.h5),
                fix="set dataset.sensor_hw and dataset.downsample_by_factor_2 as the files were made",
            )
        return


def check_class_ids(data_module: DataModule, split: str, classes: Sequence[str]) -> None:
    """Check that every label of a split belongs to one of the configured classes.

    Raises:
        UserError: a class id beyond the list, with its sequence.
    """
    for sequence in data_module.sequences(split):
        ids = sequence.rows[:, LABEL_COLUMNS.index("class_id")]
        beyond = ids[(ids >= len(classes)) & (ids != IGNORE_LABEL)]
        if len(beyond):
            raise UserError(
                expected=f"class ids from 0 to {len(classes) - 1} ({', '.join(classes)})",
                got=f"class id {int(beyond.max())}",
                where=f"labels of {sequence.paths.root}, against dataset.classes",
                fix="list all classes of the dataset in dataset.classes, or choose the dataset these files belong to",
            )
