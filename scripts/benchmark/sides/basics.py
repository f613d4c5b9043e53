"""What workloads share: sizes, modules by each of the names that they have had, memory; no import of this checkout."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from importlib import import_module as load
from pathlib import Path
from typing import Any, NamedTuple

SMALL = (
    "dataset=gen1", "dataset.sensor_hw=[64,96]", "model.backbone.embed_dim=8", "model.backbone.attention.dim_head=8",
    "model.fpn.depth=0.33",
)  # fmt: skip
"""A detector and frames for a trial."""


class Measured(NamedTuple):
    """What a call took of which only a part counts.

    Attributes:
        clock, busy: seconds by the clock and of the processors.
        answer: what came out.
    """

    clock: float
    busy: float
    answer: float


Call = Callable[[], float | Measured]


class Size(NamedTuple):
    """How large a case is.

    Attributes:
        quick: toy sizes.
        folder: of what is made once for a case and checkout.
    """

    quick: bool
    folder: Path

    def of(self, number: int, least: int) -> int:
        """Return this number, or the least one with toy sizes."""
        return least if self.quick else number

    def model(self, name: str) -> tuple[str, ...]:
        """Settings of a detector on the CPU."""
        return ("hardware.accelerator=cpu", *(SMALL if self.quick else ("dataset=gen1", f"+experiment/gen1={name}")))


def either(*names: str) -> Any:
    """The first of these modules that there is: code has moved."""
    for name in names[:-1]:
        with contextlib.suppress(ModuleNotFoundError):
            return load(name)
    return load(names[-1])


def data_loading() -> Any:
    """The benchmark's part with datasets and loaders."""
    return either("scripts.benchmark.data_parts.loading", "scripts.benchmark.data_loading")


def keep_memory() -> None:
    """What commands do at their start, where this checkout's do it."""
    with contextlib.suppress(ModuleNotFoundError):
        load("utils.allocator").keep_freed_memory()


def peak_mib() -> float:
    """Largest resident size of this process so far."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) / 1024


def tell(clock: float, busy: float, answer: float) -> None:
    """Print what a run took, as the line that the comparison reads."""
    print(json.dumps({"clock": clock, "busy": busy, "peak_mib": peak_mib(), "answer": answer}), flush=True)
