"""Things that go wrong within a training, made to happen at a chosen batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from data.payloads.frames import FrameInputs
from modules.detection import Module

Batch = dict[str, Any]
Step = Callable[[Module, Batch, int], Tensor]


def at_batch(monkeypatch: pytest.MonkeyPatch, number: int, spoil: Callable[[Batch], None]) -> None:
    """Let ``spoil`` change batch ``number`` of each pass (or raise) before the detector gets it."""
    step: Step = Module.training_step

    def spoiled(self: Module, batch: Batch, batch_idx: int) -> Tensor:
        if batch.get("position", (0, -1))[1] == number:
            spoil(batch)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Module, "training_step", spoiled)


def not_a_number(batch: Batch) -> None:
    """One pixel of the first lane is NaN, as a broken sensor or a broken GPU would give."""
    frames = batch["inputs"].data.float()
    frames[0, 0, 0, 0, 0] = float("nan")
    batch["inputs"] = FrameInputs(frames)


def gpu_memory_with(lanes: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A GPU whose memory is enough for fewer than ``lanes``; returns the list of batch sizes that were tried."""
    step: Step = Module.training_step
    tried: list[int] = []

    def limited(self: Module, batch: Batch, batch_idx: int) -> Tensor:
        tried.append(batch["inputs"].lanes)
        if tried[-1] >= lanes:
            out_of_gpu_memory(batch)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Module, "training_step", limited)
    return tried


def out_of_gpu_memory(batch: Batch) -> None:
    """What torch raises when the memory of a GPU is used up."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of ...")
