"""What the checks on a GPU share: detectors, precisions, and counts of launches and waits."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from scripts.benchmark import measure
from scripts.benchmark.subjects import DEFAULT_OVERRIDES, QUICK_OVERRIDES, Subject

SMALL_OVERRIDES = ("dataset=gen1", "+experiment/gen1=small")
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
"""Calls of CUDA, as the profiler names them, that start work."""


@dataclass(frozen=True)
class Bench:
    """Sizes of all checks.

    Args:
        device: where they run.
        quick: a toy model and few frames, to see that the checks themselves work.
        overrides: of the detector's config; by default small on Gen1.
    """

    device: torch.device
    quick: bool
    overrides: Sequence[str] = ()

    @property
    def model(self) -> tuple[str, ...]:
        """Overrides of the detector that is timed."""
        return tuple(self.overrides) or (QUICK_OVERRIDES if self.quick else SMALL_OVERRIDES)

    @property
    def steps(self) -> int:
        """Frames of a lane."""
        return 2 if self.quick else 21

    @property
    def lanes(self) -> int:
        """Lanes of a training batch."""
        return 1 if self.quick else 8

    def fresh(self, *more: str, device: torch.device | None = None, small: bool = False) -> Subject:
        """A detector with fresh weights, the same at every call.

        Args:
            more: further overrides.
            device: another device.
            small: the tiny model in place of the timed one.
        """
        tiny = QUICK_OVERRIDES if self.quick else DEFAULT_OVERRIDES
        return Subject((*(tiny if small else self.model), *more), self.device if device is None else device)

    def autocast(self, precision: str) -> torch.autocast:
        """Autocast of a precision's name; none for float32."""
        return measure.autocast(self.device, precision)


def milliseconds(times: measure.Times) -> str:
    """Median, range and peak memory of a variant in words."""
    low, high = 1000 * min(times.seconds), 1000 * max(times.seconds)
    text = f"{1000 * times.median:.2f} ms [{low:.2f} to {high:.2f}]"
    return text if times.peak_bytes is None else f"{text}, {times.peak_bytes / 2**30:.2f} GiB"


@contextmanager
def _sync_warnings(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def synchronisations(function: Callable[[], object], device: torch.device) -> Counter[str]:
    """Where one call waits for a GPU, and how often: by file and line; empty on a CPU."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _sync_warnings(device):
            function()
    waits = [entry for entry in caught if "synchronizing CUDA operation" in str(entry.message)]
    return Counter(f"{Path(entry.filename).name}:{entry.lineno}" for entry in waits)


def launches(function: Callable[[], object], device: torch.device) -> Counter[str]:
    """Calls of CUDA that one call makes, by name; empty on a CPU."""
    if device.type != "cuda":
        function()
        return Counter()
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        function()
        torch.cuda.synchronize(device)
    events = profile.events() or []
    return Counter(event.name for event in events if event.name.startswith(("cuda", "cuLaunch")))
