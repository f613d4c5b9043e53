"""Settings of the data module as a plain dataclass with checked fields."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from data.augmentation.config import AugmentationConfig
from data.payloads.base import Payload
from utils.errors import UserError

Sampling = Literal["random", "stream", "mixed"]
SAMPLING_MODES = ("random", "stream", "mixed")

_KEYS = {
    "batch_size_train": "batch_size.train",
    "batch_size_eval": "batch_size.eval",
    "num_workers_train": "hardware.num_workers.train",
    "num_workers_eval": "hardware.num_workers.eval",
    "prefetch_factor": "hardware.prefetch_factor",
    "loader_timeout_s": "hardware.loader_timeout_s",
    "num_classes": "dataset.classes",
    "num_stream_groups": "dataset.train.num_stream_groups",
    "sampling": "dataset.train.sampling",
    "w_random, w_stream": "dataset.train.w_random, dataset.train.w_stream",
    "use_label_every": "model.label.use_label_every",
    "unlabelled_share": "semi.unlabelled_share",
    "on_bad_sequence": "training.on_bad_sequence",
    "seed": "reproduce.seed_everything",
    "eval_ratio": "dataset.evaluation.ratio",
    "num_stream_groups_eval": "dataset.evaluation.num_stream_groups",
}
"""Where a user sets what is not a key of the dataset itself."""


@dataclass(frozen=True)
class DataModuleConfig:
    """Where the data are, how they are cut into batches and how they are augmented.

    Attributes:
        path: folder with train, val and test.
        ev_repr_name: folder name of the representation.
        sensor_hw: height and width of the label pixels (full resolution).
        num_classes: classes that weigh random samples.
        sequence_length: frames per sample, L.
        downsample_by_factor_2: use frames of half resolution; labels are halved.
        train_sampling: random, stream or mixed.
        w_random: weight of random lanes in a mixed batch ...
        w_stream: ... and of stream lanes.
        weighted_sampling: draw random items with replacement, rare classes more often.
        num_stream_groups: independent groups of stream lanes with states of their own; batch k belongs to group
            k mod groups. Part of the plan; the number of loader processes is not. None: as many as LEOD would make
            of ``num_workers_train`` processes (``stream_groups``).
        num_stream_groups_eval: the same for evaluation and pseudo-labelling.
        batch_size_train: lanes B of a training batch (per rank).
        unlabelled_share: share of them that show recordings whose labels are hidden; 0 for none.
        batch_size_eval: lanes of an evaluation batch (per rank).
        num_workers_train: loader processes; 0 loads in the main process. Never changes what a batch holds.
        num_workers_eval: the same for evaluation.
        prefetch_factor: batches that each of them reads ahead.
        loader_timeout_s: seconds after which a batch that does not come is an error.
        ratio: weak supervision: keep every round(1/ratio)-th labelled frame of every training sequence.
        ratio_offset: number of labelled frames to leave out before the first kept one.
        train_ratio: semi supervision: keep the labels of round(n * ratio) training sequences, evenly spread.
        split_file: JSON with the kept labelled frames ({sequence: [indices]}) or the labelled sequences ([names]);
            replaces ratio and train_ratio.
        eval_ratio: evaluate on this share of the sequences, evenly spread.
        use_label_every: in training keep pseudo labels only on frames 1, 1+k, ... and on the last.
        tflip_offset: the label of reversed frame i is that of frame i + offset.
        eval_reverse: evaluate time-reversed sequences.
        eval_both_directions: evaluate a second loader as well, with time the other way round.
        eval_from_zero: stream from frame 0 rather than from L-1 frames before the first label.
        augmentation_random: augmentation of random lanes.
        augmentation_stream: augmentation of stream lanes (one state per range).
        seed: seed of order and augmentation.
        only_load_end_labels: in training use only the label of the last frame of each sample.
        on_bad_sequence: what training does when frames cannot be read: stop with an error, or skip (the lane is empty
            for that chunk, counted and reported). Evaluation and labelling always stop.
        payload: what the input of sequences is made of; None for frames.
    """

    path: str
    ev_repr_name: str
    sensor_hw: tuple[int, int]
    num_classes: int
    sequence_length: int
    downsample_by_factor_2: bool = False
    train_sampling: Sampling = "mixed"
    w_random: float = 1.0
    w_stream: float = 1.0
    weighted_sampling: bool = False
    num_stream_groups: int | None = None
    num_stream_groups_eval: int = 1
    batch_size_train: int = 8
    batch_size_eval: int = 8
    num_workers_train: int = 0
    num_workers_eval: int = 0
    prefetch_factor: int = 2
    loader_timeout_s: float = 600.0
    ratio: float | None = None
    ratio_offset: int = 0
    train_ratio: float | None = None
    split_file: str | None = None
    eval_ratio: float | None = None
    use_label_every: int = 1
    tflip_offset: int = -1
    eval_reverse: bool = False
    eval_both_directions: bool = False
    eval_from_zero: bool = False
    augmentation_random: AugmentationConfig = field(default_factory=AugmentationConfig)
    augmentation_stream: AugmentationConfig = field(default_factory=AugmentationConfig)
    seed: int = 0
    on_bad_sequence: Literal["stop", "skip"] = "stop"
    only_load_end_labels: bool = False
    unlabelled_share: float = 0.0
    payload: Payload[Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sensor_hw", (int(self.sensor_hw[0]), int(self.sensor_hw[1])))
        positive = ("sequence_length", "num_classes", "batch_size_train", "batch_size_eval", "use_label_every")
        for name in (*positive, "num_stream_groups_eval", "prefetch_factor"):
            _require(_whole(getattr(self, name), 1), "a whole number >= 1", getattr(self, name), name)
        seconds = self.loader_timeout_s
        _require(
            isinstance(seconds, int | float) and seconds > 0, "a number of seconds > 0", seconds, "loader_timeout_s"
        )
        groups = self.num_stream_groups
        _require(groups is None or _whole(groups, 1), "null or a whole number >= 1", groups, "num_stream_groups")
        _require(self.on_bad_sequence in ("stop", "skip"), "stop or skip", self.on_bad_sequence, "on_bad_sequence")
        for name in ("num_workers_train", "num_workers_eval", "ratio_offset", "seed"):
            _require(_whole(getattr(self, name), 0), "a whole number >= 0", getattr(self, name), name)
        for name in ("ratio", "train_ratio", "eval_ratio"):
            value = getattr(self, name)
            share = isinstance(value, int | float) and 0.0 < value <= 1.0
            _require(value is None or share, "null or a share in (0, 1]", value, name)
        _require(self.train_sampling in SAMPLING_MODES, "random, stream or mixed", self.train_sampling, "sampling")
        given = [name for name in ("ratio", "train_ratio", "split_file") if getattr(self, name) is not None]
        _require(len(given) <= 1, "at most one of ratio, train_ratio and split_file", " and ".join(given), "ratio")
        share, lanes, mixed = self.unlabelled_share, self.batch_size_train, self.train_sampling == "mixed"
        if mixed:
            weights = (self.w_random, self.w_stream)
            _require(min(weights) > 0.0, "weights > 0 for mixed sampling", weights, "w_random, w_stream")
        if share != 0.0:
            _require(isinstance(share, float) and 0.0 < share < 1.0, "a share in (0, 1)", share, "unlabelled_share")
            least = 3 if mixed else 2
            _require(lanes >= least, f"{least} lanes or more, labelled and unlabelled ones", lanes, "batch_size_train")
        elif mixed:
            fix = "set batch_size.train=2, or one kind of lanes: dataset.train.sampling=stream (or random)"
            _require(lanes >= 2, "two lanes or more for mixed sampling", "1", "batch_size_train", fix)

    @property
    def frame_hw(self) -> tuple[int, int]:
        """Size of the frames: the sensor's, or half of it."""
        height, width = self.sensor_hw
        return (height // 2, width // 2) if self.downsample_by_factor_2 else (height, width)

    @property
    def stream_groups(self) -> int:
        """Number of stream groups: ``num_stream_groups``, or the loader processes that would stream in LEOD."""
        if self.num_stream_groups is not None:
            return self.num_stream_groups
        workers = self.num_workers_train
        if self.train_sampling == "mixed" and workers > 0:
            workers -= min(math.ceil(workers * self.w_random / (self.w_random + self.w_stream)), workers - 1)
        return max(workers, 1)

    @property
    def num_unlabelled_lanes(self) -> int:
        """Lanes of a training batch without labels; some are left that have them."""
        if self.unlabelled_share == 0.0:
            return 0
        most = self.batch_size_train - (2 if self.train_sampling == "mixed" else 1)
        return max(min(round(self.batch_size_train * self.unlabelled_share), most), 1)

    @property
    def num_labelled_lanes(self) -> int:
        """The other lanes of a training batch."""
        return self.batch_size_train - self.num_unlabelled_lanes

    @property
    def num_random_lanes(self) -> int:
        """Random lanes among those with labels; the others are stream lanes (LEOD)."""
        lanes = self.num_labelled_lanes
        if self.train_sampling != "mixed":
            return lanes if self.train_sampling == "random" else 0
        wanted = round(lanes * self.w_random / (self.w_random + self.w_stream))
        return max(min(wanted, lanes - 1), 1)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _require(valid: bool, expected: str, got: object, name: str, fix: str | None = None) -> None:
    if not valid:
        key = _KEYS.get(name, f"dataset.{name}")
        raise UserError(expected=expected, got=str(got), where=key, fix=fix or f"correct {key}")
