"""Builds the data module and the detector from the composed configuration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from data.augmentation.config import AugmentationConfig
from data.batches.config import DataModuleConfig
from models.detection.rnndet.build import describe_size
from modules.data.genx import DataModule
from modules.detection import Module
from modules.weights.pretrained import start_from_pretrained
from utils.boxes import IGNORE_LABEL, LABEL_COLUMNS
from utils.errors import UserError
from utils.settings import plain

log = logging.getLogger(__name__)


def data_module_config(config: dict[str, Any]) -> DataModuleConfig:
    """Settings of the data module.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: a value out of its range.
    """
    dataset, train = config["dataset"], config["dataset"]["train"]
    return DataModuleConfig(
        path=str(dataset["path"]),
        ev_repr_name=dataset["representation"]["name"],
        sensor_hw=tuple(dataset["sensor_hw"]),
        num_classes=len(dataset["classes"]),
        sequence_length=dataset["sequence_length"],
        downsample_by_factor_2=bool(dataset["downsample_by_factor_2"]),
        train_sampling=str(train["sampling"]).lower(),  # type: ignore[arg-type] # checked by the dataclass
        w_random=train["w_random"],
        w_stream=train["w_stream"],
        weighted_sampling=bool(train["weighted_sampling"]),
        num_stream_groups=train["num_stream_groups"],
        batch_size_train=config["batch_size"]["train"],
        batch_size_eval=config["batch_size"]["eval"],
        num_workers_train=config["hardware"]["num_workers"]["train"],
        num_workers_eval=config["hardware"]["num_workers"]["eval"],
        ratio=dataset["ratio"],
        ratio_offset=dataset["ratio_offset"],
        train_ratio=dataset["train_ratio"],
        split_file=dataset["split_file"],
        use_label_every=config["model"]["label"]["use_label_every"],
        tflip_offset=dataset["tflip_offset"],
        eval_reverse=bool(config.get("reverse", False)),
        eval_both_directions=bool(config["tta"]["enable"] and config["tta"]["tflip"]),
        augmentation_random=AugmentationConfig.from_settings(dataset["augmentation"]["random"]),
        augmentation_stream=AugmentationConfig.from_settings(dataset["augmentation"]["stream"]),
        seed=config["reproduce"]["seed_everything"] or 0,
        on_bad_sequence=config["training"]["on_bad_sequence"],
    )


def fetch_data_module(config: DictConfig) -> DataModule:
    """Data module of a composed configuration.

    Raises:
        UserError: the dataset folder is missing, or a setting is out of its range.
    """
    settings = plain(config)
    path = Path(settings["dataset"]["path"])
    if not path.is_dir():
        raise UserError(
            expected="a dataset folder with train, val and test",
            got="no such folder",
            where=f"dataset.path={path}",
            fix="download or make the dataset, or give its place: dataset.path=FOLDER",
        )
    return DataModule(data_module_config(settings))


def fetch_model_module(config: DictConfig) -> Module:
    """Detector of a composed configuration, with fresh weights (or those of ``model.backbone.pretrained_file``).

    Raises:
        UserError: a setting that the network cannot have.
    """
    module = Module(plain(config))
    start_from_pretrained(module.mdl, module.config)
    log.info("%s: %s", config.model.name, describe_size(module.mdl))
    return module


def check_data(data_module: DataModule, split: str, classes: Sequence[str]) -> None:
    """Check what would otherwise only show after files were written: class ids, the size of frames, the training plan.

    Raises:
        UserError: labels of another class, frames of another size, or nothing to train on.
    """
    check_class_ids(data_module, split, classes)
    check_frame_size(data_module, split)
    if split == "train":
        data_module.train_plan()


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
