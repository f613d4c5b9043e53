"""What to tell a user when the memory of the GPU or of the machine is not enough."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from utils.errors import UserError

_TEXTS = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")
_WANTED = re.compile(r"[Tt]ried to allocate ([\d.]+ [KMGT]?i?B|\d+ bytes)")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: of the GPU (``torch.OutOfMemoryError`` and what libraries of CUDA say) or of the host.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    (True, True)
    >>> is_out_of_memory(RuntimeError("shapes differ"))
    False
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _TEXTS)


def explain_out_of_memory(
    error: BaseException, config: Any, training: bool, knobs: Sequence[str] = ()
) -> UserError | None:
    """One message with the keys that help, or None if the error is another one.

    Args:
        error: what was raised.
        config: the composed config; keys that a command does not have are left out.
        training: whether the command trains.
        knobs: overrides with which a training of this model takes less memory.
    """
    if not is_out_of_memory(error):
        return None
    text = str(error)
    on_host = isinstance(error, MemoryError) or "alloc_cpu" in text or "DefaultCPUAllocator" in text
    wanted = _WANTED.search(text)
    return UserError(
        expected="enough memory",
        got=f"{'the machine' if on_host else 'the GPU'} ran out of it" + (f" at {wanted.group(1)}" if wanted else ""),
        where=_sizes(config, ("batch_size.train" if training else "batch_size.eval", "dataset.sequence_length")),
        fix=_advice(config, training, on_host, knobs),
    )


def _value(config: Any, key: str) -> Any:
    for part in key.split("."):
        try:
            config = config[part]
        except (KeyError, TypeError, AttributeError):
            return None
    return config


def _sizes(config: Any, keys: tuple[str, ...]) -> str:
    told = [f"{key}={value}" for key in keys if (value := _value(config, key)) is not None]
    return ", ".join(told) or "this command"


def _advice(config: Any, training: bool, on_host: bool, of_the_model: Sequence[str]) -> str:
    if _value(config, "batch_size") is None:
        return "close other programs, or ask for a machine with more memory; finished parts are kept"
    if not training:
        return "lower batch_size.eval or hardware.num_workers.eval; the same command then goes on"
    lanes, batches = int(_value(config, "batch_size.train")), int(_value(config, "training.accumulate_grad_batches"))
    half = f"batch_size.train={max(lanes // 2, 1)}"
    if lanes > 1:
        half += f" with training.accumulate_grad_batches={2 * batches} (as many lanes an optimiser step)"
    knobs = [half]
    if on_host:
        knobs.append("fewer hardware.num_workers.train")
    knobs += of_the_model
    if str(_value(config, "training.precision")) in ("32", "32-true") and not on_host:
        knobs.append("training.precision=16 or bf16")
    length = _value(config, "dataset.sequence_length")
    if length is not None:
        knobs.append(f"a shorter dataset.sequence_length (now {length})")
    if not _value(config, "training.dynamic_batch_size.enabled"):
        knobs.append("training.dynamic_batch_size.enabled=true, which finds the largest batch that fits")
    return (
        "set " + ", or ".join(knobs) + "; the same command then goes on from the newest checkpoint, with "
        "'resume.allow=[KEY, ...]' for keys that make it another run"
    )
