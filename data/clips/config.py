"""Checked settings of clips in training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from utils.settings import whole


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """How sequences are cut into clips.

    Args:
        path: folder with train, val and test.
        frames: of a clip.
        crop: height and width of what is trained on, pixels.
        mirror: mirror and turn clips in training.
        seed: of order, place and mirroring.
        batch_size_train: clips of a training batch (per process).
        batch_size_eval: clips of an evaluation batch.
        num_workers_train: loader processes; they never change what a batch holds.
        num_workers_eval: the same for evaluation.
        prefetch_factor: batches that each of them reads ahead.
        loader_timeout_s: seconds after which a batch that does not come is an error.

    Raises:
        UserError: a value that cannot be.
    """

    path: str
    frames: int
    crop: int
    mirror: bool
    seed: int = 0
    batch_size_train: int = 1
    batch_size_eval: int = 1
    num_workers_train: int = 0
    num_workers_eval: int = 0
    prefetch_factor: int = 2
    loader_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        whole(self.frames, "model.clips.frames", 2)
        whole(self.crop, "model.clips.crop", 8)
        for name in ("train", "eval"):
            whole(getattr(self, f"batch_size_{name}"), f"batch_size.{name}")
            whole(getattr(self, f"num_workers_{name}"), f"hardware.num_workers.{name}", 0)
