"""Lightning data module for datasets in the RVT layout."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection
from typing import Any

import torch

from data.batches.batch import Batch
from data.batches.config import DataModuleConfig
from data.batches.load_sequences import load_sequences
from data.batches.loader import PlanLoader
from data.batches.planned_dataset import PlannedDataset
from data.batches.shared_memory import check_loader
from data.sampling.labelling_plan import LabelPlan
from data.sampling.plan import EvalPlan, PlanSampler, RandomLanes, StreamLanes, TrainPlan
from data.sampling.random_items import RandomItems
from data.sampling.ranges import training_ranges, whole_range
from data.sampling.unlabelled import UnlabelledLanes, UnlabelledStreams, UnlabelledWindows, unlabelled_recordings
from data.sequences.sequence import EventSequence
from modules.data.position import PlannedDataModule

logger = logging.getLogger(__name__)


class DataModule(PlannedDataModule):
    """Loaders of the train, val and test splits, and of the train split for pseudo-labelling.

    Args:
        cfg: settings.
        with_frames: False leaves the frames away ([L, B, 0, 0, 0]), for programs that look at labels only.
    """

    def __init__(self, cfg: DataModuleConfig, with_frames: bool = True) -> None:
        super().__init__()
        self.cfg, self.with_frames = cfg, with_frames
        self._sequences: dict[str, list[EventSequence]] = {}
        self._stream_groups = cfg.stream_groups
        self.skipped: Counter[str] = Counter()
        """Chunks of training that could not be read and were left out, by file (``on_bad_sequence="skip"``)."""

    def sequences(self, split: str) -> list[EventSequence]:
        """Sequences of a split with their labels in memory, sorted by name; read once.

        Raises:
            UserError: the split is missing or empty, or a sequence is incomplete.
        """
        if split not in self._sequences:
            self._sequences[split] = load_sequences(self.cfg, split)
        return self._sequences[split]

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs, so that mistakes show before training starts; a new fit begins the plan anew."""
        self.begin_anew(stage)
        wanted = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("train",)}
        for split in wanted.get(str(stage), ()):
            self.sequences(split)

    # Plans.
    def train_plan(self) -> TrainPlan:
        """The training plan of this rank."""
        cfg, sequences = self.cfg, self.sequences("train")
        stream = random = None
        if cfg.train_sampling != "random":
            weak = any(0 < int(sequence.hidden.sum()) < sequence.num_labelled for sequence in sequences)
            ranges = training_ranges(sequences, cfg.sequence_length, whole=weak)
            lanes = cfg.num_labelled_lanes - cfg.num_random_lanes
            stream = StreamLanes(
                ranges,
                cfg.sequence_length,
                self._stream_groups,
                lanes,
                cfg.seed,
                self.rank,
                cfg.augmentation_stream.tflip,
                cfg.augmentation_stream.mix.prob,
            )
        if cfg.train_sampling != "stream":
            items = RandomItems(sequences, cfg.sequence_length, cfg.tflip_offset)
            weights = items.weights(cfg.num_classes) if cfg.weighted_sampling and len(items) else None
            random = RandomLanes(
                items,
                cfg.num_random_lanes,
                cfg.seed,
                self.rank,
                self.world_size,
                cfg.augmentation_random.tflip,
                weights,
                cfg.augmentation_random.mix.prob,
            )
        return TrainPlan(stream, random, self._unlabelled() if cfg.num_unlabelled_lanes else None)

    def _unlabelled(self) -> UnlabelledLanes:
        """Lanes of recordings without usable labels: windows in random sampling, else streams."""
        cfg, sequences = self.cfg, self.sequences("train")
        hidden, length, lanes = unlabelled_recordings(sequences), cfg.sequence_length, cfg.num_unlabelled_lanes
        if cfg.train_sampling == "random":
            flip = cfg.augmentation_random.tflip
            return UnlabelledWindows(sequences, hidden, length, lanes, cfg.seed, self.rank, self.world_size, flip)
        ranges, flip = [whole_range(sequences, index, length, True) for index in hidden], cfg.augmentation_stream.tflip
        return UnlabelledStreams(
            StreamLanes(ranges, length, self._stream_groups, lanes, cfg.seed, self.rank, flip, kind=1)
        )

    def eval_plan(self, split: str, reverse: bool = False) -> EvalPlan:
        """The plan that streams whole sequences of a split."""
        cfg, sequences = self.cfg, self.sequences(split)
        ranges = [
            whole_range(sequences, index, cfg.sequence_length, cfg.eval_from_zero) for index in range(len(sequences))
        ]
        return EvalPlan(
            ranges,
            cfg.sequence_length,
            cfg.batch_size_eval,
            cfg.num_stream_groups_eval,
            self.rank,
            self.world_size,
            reverse,
        )

    # Loaders.
    def _dataset(self, split: str, training: bool) -> PlannedDataset:
        cfg = self.cfg
        return PlannedDataset(
            self.sequences(split),
            cfg.sequence_length,
            cfg.frame_hw,
            cfg.tflip_offset,
            cfg.augmentation_random if training else None,
            cfg.augmentation_stream if training else None,
            cfg.use_label_every if training else 1,
            cfg.only_load_end_labels and training,
            not self.with_frames,
            cfg.on_bad_sequence == "skip" and training,
        )

    def _loader(self, dataset: PlannedDataset, sampler: PlanSampler, num_workers: int, persistent: bool) -> PlanLoader:
        cfg, pin = self.cfg, torch.cuda.is_available()
        if num_workers and self.with_frames:
            check_loader(dataset.sequences, cfg, training=persistent, validates=self.trainer is not None)
        ahead = (cfg.prefetch_factor, cfg.loader_timeout_s)
        return PlanLoader(dataset, sampler, num_workers, pin, persistent, self.skipped, *ahead)

    def train_dataloader(self) -> PlanLoader:
        """Training batches, from the position set by ``set_start_batch`` or a checkpoint on.

        Outside a Trainer, which reports the batches it uses, every iteration begins there.
        """
        plan = self.train_plan()
        self._train_length = len(plan)
        sampler = PlanSampler(plan, self.next_position)
        return self._loader(self._dataset("train", training=True), sampler, self.cfg.num_workers_train, True)

    def _eval_dataloader(self, split: str, reverse: bool) -> PlanLoader:
        sampler = PlanSampler(self.eval_plan(split, reverse))
        return self._loader(self._dataset(split, training=False), sampler, self.cfg.num_workers_eval, False)

    def _eval_dataloaders(self, split: str) -> list[PlanLoader]:
        first = bool(self.cfg.eval_reverse)
        directions = (first, not first) if self.cfg.eval_both_directions else (first,)
        return [self._eval_dataloader(split, reverse) for reverse in directions]

    def val_dataloader(self) -> list[PlanLoader]:
        """Whole sequences of the val split; a second loader in the other direction of time if asked for."""
        return self._eval_dataloaders("val")

    def test_dataloader(self) -> list[PlanLoader]:
        """Whole sequences of the test split, as ``val_dataloader``."""
        return self._eval_dataloaders("test")

    def predict_dataloader(self, reverse: bool = False) -> PlanLoader:
        """Whole sequences of the train split, unlabelled ones too, with usable and hidden labels.

        Args:
            reverse: in reversed time (the second view of test-time augmentation).
        """
        return self._eval_dataloader("train", reverse)

    def labelling_dataloader(
        self, reverse: bool, finished: Collection[str], rank: int = 0, world_size: int = 1
    ) -> PlanLoader:
        """Share of one process in the whole train split, in batches that depend neither on shares nor on restarts.

        Args:
            reverse: in reversed time (the second view of test-time augmentation).
            finished: names of sequences with nothing left to do, the same on every process.
            rank: number of this process.
            world_size: number of processes.
        """
        cfg, sequences = self.cfg, self.sequences("train")
        length, indices = cfg.sequence_length, range(len(sequences))
        ranges = [whole_range(sequences, index, length, cfg.eval_from_zero) for index in indices]
        done = [sequence.name in finished for sequence in sequences]
        plan = LabelPlan(ranges, length, cfg.batch_size_eval, done, rank, world_size, reverse)
        return self._loader(self._dataset("train", training=False), PlanSampler(plan), cfg.num_workers_eval, False)

    # Position in the plan.
    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the inputs; labels and flags stay on the host, where they are read."""
        self.note_handed_out(batch["position"])
        batch["inputs"] = batch["inputs"].to(device, non_blocking=True)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where training stands in its plan."""
        return {**super().state_dict(), "stream_groups": self._stream_groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was written, with its number of stream groups unless the config gives one."""
        super().load_state_dict(state_dict)
        before = int(state_dict.get("stream_groups", self._stream_groups))
        if self.cfg.num_stream_groups is None:
            self._stream_groups = before
        elif self._stream_groups != before:
            logger.warning(
                "%d stream groups, but the checkpoint was written with %d: from here on other batches follow",
                self._stream_groups,
                before,
            )

    def teardown(self, stage: str | None = None) -> None:
        """Report what was left out."""
        if stage == "fit" and self.skipped:
            worst = ", ".join(f"{path} ({count})" for path, count in self.skipped.most_common(5))
            logger.warning(
                "left out %d samples of %d files that cannot be read: %s%s",
                self.skipped.total(),
                len(self.skipped),
                worst,
                " and others" if len(self.skipped) > 5 else "",
            )
