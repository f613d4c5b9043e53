"""Start a training in forked processes and stop it at a chosen place, as the world outside would."""

from __future__ import annotations

import hashlib
import io
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

import modules.checkpoints.files
import modules.training.trainer
import utils.atomic
from tests.helpers.commands import SMALL, run
from tests.helpers.forked_processes import together
from tests.helpers.made_once import MadeOnce

TINY = (
    *SMALL,
    "training.max_steps=6",
    "validation.val_check_interval=3",
    "validation.limit_val_batches=2",  # one to stop in, one to go on with
    "checkpointing.every_n_steps=2",
    "logging.log_every_n_steps=1",
    "model.backbone.attention.drop_path=0.3",  # draws from torch's global generator
    "dataset.augmentation.random.tflip=0.5",
    "hardware.num_workers.eval=0",
)
"""A training with everything that a resume point must hold, random numbers in the network among them."""

LONG = ("training.max_steps=40", "validation.val_check_interval=20")
"""Added to it where a scheduler needs a while to stop it."""


@dataclass(frozen=True)
class StopAt:
    """Where a process gets a signal.

    Args:
        hook: of a callback; or ``save``: with half of a checkpoint written; or ``rename``: before it gets its name.
        count: the first, second, ... time since the start of the process.
        signum: the signal.
    """

    hook: str
    count: int = 1
    signum: int = signal.SIGKILL


class _Stopper(Callback):
    def __init__(self, at: StopAt) -> None:
        self.left = at.count
        self.at = at
        if at.hook == "save":
            modules.checkpoints.files.torch.save = self._write_half_first
        elif at.hook == "rename":
            utils.atomic.os.replace = self._rename
        else:
            setattr(self, at.hook, lambda *arguments, **more: self.hit())

    def _write_half_first(self, checkpoint: Any, handle: IO[bytes], save: Any = torch.save) -> None:
        buffer = io.BytesIO()
        save(checkpoint, buffer)
        half = len(buffer.getvalue()) // 2
        handle.write(buffer.getvalue()[:half])
        handle.flush()
        self.hit()
        handle.write(buffer.getvalue()[half:])

    def _rename(self, source: Path, target: Path, replace: Any = os.replace) -> None:
        if target.suffix == ".ckpt":
            self.hit()
        replace(source, target)

    def hit(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.at.signum)


def train_here(at: StopAt | None, arguments: Sequence[str]) -> int:
    """Run train.py in this process, stopped somewhere; returns its exit status."""
    build = modules.training.trainer.build_trainer

    def with_stopper(*positional: Any, **named: Any) -> pl.Trainer:
        trainer = build(*positional, **named)
        if at is not None:
            trainer.callbacks.append(_Stopper(at))  # type: ignore[attr-defined]
        return trainer

    modules.training.trainer.build_trainer = with_stopper
    return run("train.py", *arguments)


def train(output: Path, *arguments: str, world: int = 1, stop: StopAt | None = None) -> int:
    """Run train.py in ``world`` processes, stopped somewhere; returns the exit status of the first (-9 if killed)."""
    output.mkdir(parents=True, exist_ok=True)
    processes = (f"hardware.num_processes={world}", f"output.dir={output}")
    return together(world, output, train_here, stop, (*arguments, *processes))[0]


def everything(output: Path) -> dict[str, str]:
    """What a run leaves, as hashes and texts: equal for a stopped and an undisturbed run."""
    last = torch.load(output / "last.ckpt", weights_only=True)
    best = torch.load(output / "best.ckpt", weights_only=True)
    return {
        "weights": _digest(last["state_dict"]),
        "optimiser": _digest(last["optimizer_states"]),
        "schedule": str(last["lr_schedulers"]),
        "processes": _digest(last["resume"]["ranks"]),
        "best": _digest(best["state_dict"]),
        "figures": str(last["callbacks"]),
        "log": (output / "logs" / "version_0" / "metrics.csv").read_text(),
        "done": (output / "done.json").read_text(),
    }


class Undisturbed:
    """What runs leave that were never stopped; each is run once, whoever asks for it first.

    Args:
        made_once: where they are kept.
        dataset: on which they train.
    """

    def __init__(self, made_once: MadeOnce, dataset: Path) -> None:
        self.made_once, self.dataset = made_once, dataset

    def __call__(self, world: int, *more: str) -> dict[str, str]:
        """What ``TINY`` with further settings leaves after it ran in so many processes."""
        name = hashlib.sha256(" ".join((self.dataset.name, str(world), *more)).encode()).hexdigest()[:16]

        def make(output: Path) -> None:
            assert train(output, *TINY, f"dataset.path={self.dataset}", *more, world=world) == 0

        return everything(self.made_once(f"undisturbed-{name}", make))


def _digest(value: Any) -> str:
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            digest.update(part.contiguous().numpy().tobytes())
        elif isinstance(part, dict):
            for key, inner in part.items():
                digest.update(str(key).encode())
                add(inner)
        elif isinstance(part, list | tuple):
            for inner in part:
                add(inner)
        else:
            digest.update(str(part).encode())

    add(value)
    return digest.hexdigest()
