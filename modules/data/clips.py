"""Lightning data module for clips of blurred and sharp frames and spikes."""

from __future__ import annotations

from typing import Any

import torch

from data.batches.loader import PlanLoader
from data.clips.batches import ClipBatch, ClipDataset
from data.clips.config import ClipSettings
from data.clips.files import ClipSequence, sequences_of
from data.clips.plan import EvalClips, TrainClips
from data.sampling.plan import PlanSampler
from modules.data.position import PlannedDataModule
from utils.errors import UserError
from utils.settings import settings_of


def clip_settings(config: dict[str, Any]) -> ClipSettings:
    """Settings of the data module.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: a value out of its range.
    """
    hardware, lanes = config["hardware"], config["batch_size"]
    bad = config["training"]["on_bad_sequence"]
    if bad != "stop":
        raise UserError(
            expected="stop, as no clip is left out",
            got=repr(bad),
            where="training.on_bad_sequence",
            fix="leave it out, and take damaged files out of the folder",
        )
    return settings_of(
        ClipSettings,
        config,
        "model.clips",
        path=str(config["dataset"]["path"]),
        seed=config["reproduce"]["seed_everything"] or 0,
        batch_size_train=lanes["train"],
        batch_size_eval=lanes["eval"],
        num_workers_train=hardware["num_workers"]["train"],
        num_workers_eval=hardware["num_workers"]["eval"],
        prefetch_factor=hardware["prefetch_factor"],
        loader_timeout_s=hardware["loader_timeout_s"],
    )


class ClipDataModule(PlannedDataModule):
    """Loaders of clips: parts of frames in training, whole frames in evaluation.

    Args:
        cfg: settings.
    """

    def __init__(self, cfg: ClipSettings) -> None:
        super().__init__()
        self.cfg = cfg
        self._sequences: dict[str, list[ClipSequence]] = {}

    def sequences(self, split: str) -> list[ClipSequence]:
        """Sequences of a split, sorted by name; looked at once.

        Raises:
            UserError: there are none, or one cannot be read.
        """
        if split not in self._sequences:
            self._sequences[split] = sequences_of(self.cfg.path, split)
        return self._sequences[split]

    def setup(self, stage: str | None = None) -> None:
        """Look at what the stage needs, so that mistakes show before training starts."""
        self.begin_anew(stage)
        wanted = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
        for split in wanted.get(str(stage), ()):
            self.sequences(split)

    def train_plan(self) -> TrainClips:
        """The training plan of this process."""
        return TrainClips(self.sequences("train"), self.cfg, self.rank, self.world_size)

    def train_dataloader(self) -> PlanLoader:
        """Training batches, from the position set by ``set_start_batch`` or a checkpoint on."""
        plan = self.train_plan()
        self._train_length = len(plan)
        sampler = PlanSampler(plan, self.next_position)
        return self._loader("train", sampler, self.cfg.num_workers_train, persistent=True)

    def val_dataloader(self) -> PlanLoader:
        """Every frame of the val split."""
        return self._eval_dataloader("val")

    def test_dataloader(self) -> PlanLoader:
        """Every frame of the test split."""
        return self._eval_dataloader("test")

    def _eval_dataloader(self, split: str) -> PlanLoader:
        plan = EvalClips(self.sequences(split), self.cfg, self.rank, self.world_size)
        return self._loader(split, PlanSampler(plan), self.cfg.num_workers_eval, persistent=False)

    def _loader(self, split: str, sampler: PlanSampler, workers: int, *, persistent: bool) -> PlanLoader:
        dataset, cfg = ClipDataset(self.sequences(split), self.cfg.frames), self.cfg
        ahead = (cfg.prefetch_factor, cfg.loader_timeout_s)
        return PlanLoader(dataset, sampler, workers, torch.cuda.is_available(), persistent, None, *ahead)

    def transfer_batch_to_device(self, batch: ClipBatch, device: torch.device, dataloader_idx: int) -> ClipBatch:
        """Move frames and spikes; the rest is read on the host."""
        self.note_handed_out(batch["position"])
        for name in ("blurred", "sharp", "spikes"):
            batch[name] = batch[name].to(device, non_blocking=True)
        return batch


def check_clips(data_module: ClipDataModule, split: str, bins: int) -> None:
    """Check what would otherwise only show after files were written: bins of spikes, and whether clips can be cut.

    Args:
        data_module: with the sequences.
        split: train, val or test.
        bins: that the network takes; 0 for none.

    Raises:
        UserError: sequences with other bins, or nothing to train on.
    """
    for sequence in data_module.sequences(split):
        if bins and sequence.bins != bins:
            raise UserError(
                expected=f"spikes in model.spikes.bins={bins} parts of an exposure",
                got=f"{sequence.bins}",
                where=str(sequence.path),
                fix=f"set model.spikes.bins={sequence.bins}, or leave spikes out with model.spikes.enable=false",
            )
    if split == "train":
        data_module.train_plan()
