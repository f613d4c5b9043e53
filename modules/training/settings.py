"""What a run of the detector is asked to do: typed, checked once, before anything is computed or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from models.registry import memory_knobs, spec_of_section
from modules.callbacks.bad_loss import OnBadLoss, check_on_bad_loss
from modules.callbacks.health import HealthSettings
from modules.callbacks.pictures import PictureSettings
from modules.checkpoints.files import Retention
from modules.checkpoints.start import Limits, RunFolder
from modules.logs.loggers import LoggerSettings, logger_settings
from modules.optim import OptimizerSettings, ScheduleSettings
from modules.processes.hardware import HardwareSettings, hardware_settings
from modules.semi.settings import checked_semi
from modules.tasks import task_of
from modules.training.averaging import check_decay
from modules.training.batch_size_search import KEY, BatchSizeRange
from modules.training.stopping import parse_duration
from utils.errors import UserError
from utils.settings import choice, number, section, settings_of, whole

_LARGEST_SEED = 2**32 - 1
_PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true"}
"""Lightning's names, which are taken too, of what ``training.precision`` may be."""


@dataclass(frozen=True)
class TrainingSettings:
    """``training``, ``validation`` and ``batch_size.train`` of the config, where each key is explained.

    Attributes:
        limits: where it ends.
        batch_size: lanes of a batch.
        batch_sizes: what it may become, None if it is fixed.
        precision: Lightning's name of it.
        ema_decay: of the average of the weights, which is the teacher with ``semi``; None without one ...
        ema_starts_at: ... and after how many optimiser steps it begins.
        max_time: after which it is saved and stopped.
        val_check_interval: optimiser steps between two validations, 0: only at the end.
    """

    limits: Limits
    batch_size: int
    batch_sizes: BatchSizeRange | None
    precision: str
    accumulate_grad_batches: int
    gradient_clip_val: float
    gradient_clip_algorithm: str
    ema_decay: float | None
    ema_starts_at: int
    max_time: timedelta | None
    on_bad_loss: OnBadLoss
    val_check_interval: int
    limit_val_batches: float | int


@dataclass(frozen=True)
class LoggingSettings:
    """``logging`` of the config, where each key is explained.

    Raises:
        UserError: a number out of range.
    """

    log_every_n_steps: int
    progress_bar: bool
    data_wait_warning: float
    health: HealthSettings
    pictures: PictureSettings

    def __post_init__(self) -> None:
        number(self.data_wait_warning, "logging.data_wait_warning")


@dataclass(frozen=True)
class RandomSettings:
    """``reproduce`` of the config, where each key is explained.

    Raises:
        UserError: a seed that NumPy cannot be given.
    """

    seed_everything: int | None
    deterministic_flag: bool
    benchmark: bool

    def __post_init__(self) -> None:
        seed = self.seed_everything
        if seed is not None and whole(seed, "reproduce.seed_everything", 0) > _LARGEST_SEED:
            number(seed, "reproduce.seed_everything", most=_LARGEST_SEED)


@dataclass(frozen=True)
class RunSettings:
    """Everything that ``train.py``, ``val.py`` and ``predict.py`` need beside data and network.

    Attributes:
        config: the composed configuration as plain containers, which data module, detector and checkpoints are given.
        checkpoint: to go on from, or the trained detector.
        weight: whose weights a new run starts from.
        weight_strict: whether all of them must fit.
        may_change: keys in which a run that goes on may differ from what it was.
    """

    config: dict[str, Any]
    training: TrainingSettings
    hardware: HardwareSettings
    logging: LoggingSettings
    logger: LoggerSettings
    random: RandomSettings
    folder: RunFolder
    retention: Retention
    checkpoint: Path | None
    weight: str | None
    weight_strict: bool
    may_change: tuple[str, ...] = ()

    def with_batch_size(self, size: int) -> RunSettings:
        """The same run with another number of lanes in training."""
        config = {**self.config, "batch_size": {**self.config["batch_size"], "train": size}}
        return replace(self, config=config, training=replace(self.training, batch_size=size))


def run_settings(config: dict[str, Any]) -> RunSettings:
    """The settings of a composed configuration.

    Args:
        config: as plain containers.

    Raises:
        UserError: a value that cannot be, with the name of its key.
    """
    output, shown, checkpoint = config["output"], section(config, "logging"), config["checkpoint"]
    scratch, task = output["scratch"], task_of(config)
    training, every = _training(config), whole(shown["log_every_n_steps"], "logging.log_every_n_steps")
    return RunSettings(
        config=config,
        training=training,
        hardware=hardware_settings(config),
        logging=settings_of(
            LoggingSettings,
            config,
            "logging",
            health=settings_of(HealthSettings, config, "logging.health"),
            pictures=settings_of(PictureSettings, config, "logging.pictures"),
            log_every_n_steps=min(every, training.limits.max_steps),  # a short training logs its last step at least
        ),
        logger=logger_settings(config),
        random=settings_of(RandomSettings, config, "reproduce"),
        folder=RunFolder(Path(output["dir"]), None if scratch is None else Path(scratch)),
        retention=settings_of(Retention, config, "checkpointing", figures=task.figures, shown=task.shown),
        checkpoint=None if checkpoint is None else Path(str(checkpoint)),
        weight=config["weight"],
        weight_strict=bool(config["weight_strict"]),
        may_change=_keys(config),
    )


def _keys(config: Mapping[str, Any]) -> tuple[str, ...]:
    """``resume.allow``."""
    keys = section(config, "resume", ("allow",))["allow"]
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UserError(
            expected="a list of keys",
            got=repr(keys),
            where="resume.allow",
            fix="for example 'resume.allow=[training.learning_rate]'",
        )
    return tuple(keys)


def _training(config: Mapping[str, Any]) -> TrainingSettings:
    training, sizes, validation = section(config, "training"), config["batch_size"], config["validation"]
    max_steps = whole(training["max_steps"], "training.max_steps")
    batch_size = whole(sizes["train"], "batch_size.train")
    whole(sizes["eval"], "batch_size.eval")
    semi = checked_semi(config)
    OptimizerSettings.of(training)
    ScheduleSettings.of(training)
    return TrainingSettings(
        limits=Limits(max_steps, whole(training["max_epochs"], "training.max_epochs")),
        batch_size=batch_size,
        batch_sizes=_batch_sizes(config),
        precision=_precision(str(training["precision"])),
        accumulate_grad_batches=whole(training["accumulate_grad_batches"], "training.accumulate_grad_batches"),
        gradient_clip_val=number(training["gradient_clip_val"], "training.gradient_clip_val"),
        gradient_clip_algorithm=choice(
            training["gradient_clip_algorithm"], ("value", "norm"), "training.gradient_clip_algorithm"
        ),
        ema_decay=check_decay(training["ema_decay"]) if semi is None else semi.decay,
        ema_starts_at=0 if semi is None else semi.start_step,
        max_time=parse_duration(training["max_time"], "training.max_time"),
        on_bad_loss=check_on_bad_loss(training["on_bad_loss"]),
        val_check_interval=whole(validation["val_check_interval"], "validation.val_check_interval", 0),
        limit_val_batches=_share_or_count(validation["limit_val_batches"], "validation.limit_val_batches"),
    )


def _share_or_count(value: Any, key: str) -> float | int:
    return number(value, key, most=1) if isinstance(value, float) else whole(value, key, 0)


def _precision(wanted: str) -> str:
    if wanted in _PRECISIONS.values():
        return wanted
    return _PRECISIONS[choice(wanted, _PRECISIONS, "training.precision")]


def _batch_sizes(config: Mapping[str, Any]) -> BatchSizeRange | None:
    mixed = str(config["dataset"]["train"]["sampling"]).lower() == "mixed"
    names = ("enabled", "base", "max", "factor")
    if not section(config, KEY, names)["enabled"]:
        return None
    if not task_of(config).tries_sizes:
        knobs = memory_knobs(config["model"])
        raise UserError(
            expected="false for a model that reads no events: sizes are tried with empty windows of events",
            got=f"true, with '{spec_of_section(config['model']).family}'",
            where=f"{KEY}.enabled",
            fix="leave it out, and set batch_size.train=N" + f"; less memory: {' '.join(knobs)}" * bool(knobs),
        )
    return settings_of(BatchSizeRange, config, KEY, least=2 if mixed else 1)
