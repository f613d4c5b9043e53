"""Memory that loader processes hand batches over in (/dev/shm): what they need of it, and what there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from data.batches.config import DataModuleConfig
from data.sequences.sequence import EventSequence
from utils.errors import UserError

PLACE = Path("/dev/shm")  # noqa: S108 # where torch lets the system put it
_LABELS_BYTES = 64 * 1024


def batch_bytes(sequences: Sequence[EventSequence], length: int, lanes: int) -> int:
    """Size of a batch of ``length`` windows in ``lanes`` lanes; 0 where no sequence can be read, which others tell."""
    for sequence in sequences:
        try:
            window = sequence.payload.window_bytes(sequence.reader)
        except UserError:
            continue
        return length * lanes * window + _LABELS_BYTES
    return 0


def loader_bytes(batch: int, num_workers: int, prefetch_factor: int) -> int:
    """What loader processes need at most: the batches they read ahead, and the one in use."""
    return (num_workers * prefetch_factor + 1) * batch if num_workers else 0


def free_bytes() -> int | None:
    """Shared memory that nobody uses; None where the system has no such place."""
    try:
        place = os.statvfs(PLACE)
    except OSError:
        return None
    return place.f_bavail * place.f_frsize


def mib(number: int) -> str:
    """Bytes in words.

    >>> mib(3 * 2**20)
    '3.0 MiB'
    """
    return f"{number / 2**20:.1f} MiB"


def check_loader(sequences: Sequence[EventSequence], cfg: DataModuleConfig, training: bool, validates: bool) -> None:
    """Refuse loader processes whose batches do not fit: torch would wait for ever for the one that did not.

    Args:
        sequences: that they read.
        cfg: number and size of batches.
        training: they bring batches of training, else of evaluation.
        validates: training is validated, by loaders of their own that begin while batches of training wait.

    Raises:
        UserError: what is needed, what there is, and what to set.
    """
    kind = "train" if training else "eval"
    lanes, workers = getattr(cfg, f"batch_size_{kind}"), getattr(cfg, f"num_workers_{kind}")
    ahead, batch, beside = cfg.prefetch_factor, batch_bytes(sequences, cfg.sequence_length, lanes), 0
    if training and validates:
        beside = loader_bytes(batch * cfg.batch_size_eval // lanes, cfg.num_workers_eval, ahead)
    need, free = loader_bytes(batch, workers, ahead) + beside, free_bytes()
    if free is None or need <= free:
        return
    key = f"hardware.num_workers.{kind}"
    fitting = max(0, (free - beside) // batch - 1)
    raise UserError(
        expected=f"{mib(need)} of shared memory: {workers} loader processes read {ahead} batches of {mib(batch)} "
        "ahead, one is in use" + (f", and validation needs {mib(beside)}" if beside else ""),
        got=f"{mib(free)} free in {PLACE}",
        where=key,
        fix=f"give the machine or container more (docker run --shm-size={need // 2**30 + 1}g), or set {key}="
        + (f"{fitting} hardware.prefetch_factor=1" if fitting else "0"),
    )
