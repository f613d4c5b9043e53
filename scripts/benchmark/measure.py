"""Times of alternating variants, the device's matmul peak, and reports that carry their protocol."""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import torch
from torch.utils.flop_counter import FlopCounterMode

from utils.atomic import write_text
from utils.tables import table as markdown_table

PRECISIONS = {"32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
CPU = torch.device("cpu")
Variants = Mapping[str, Callable[[], object]]


class Row(TypedDict):
    """One figure: what it is of, its value and unit, and how it was measured."""

    name: str
    value: float
    unit: str
    note: str


_INTRO = "# Benchmarks\n\nWritten by `scripts/benchmark` with `--markdown`; each table carries its protocol.\n"


@dataclass
class Times:
    """Seconds of each run of a variant; with one CPU thread its processor seconds; on a GPU its peak memory."""

    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    peak_bytes: int | None = None

    @property
    def median(self) -> float:
        """Median seconds of a run by the clock."""
        return statistics.median(self.seconds)

    @property
    def cost(self) -> float:
        """Median processor seconds where they were taken, else seconds: what ratios are made of."""
        return statistics.median(self.busy or self.seconds)


def alternate(variants: Variants, warm_up: int, runs: int, device: torch.device) -> dict[str, Times]:
    """Run the variants in turn, ``runs`` times each after ``warm_up`` runs."""
    times = {name: Times() for name in variants}
    for name, function in variants.items():
        for _ in range(warm_up):
            function()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            function()
            times[name].peak_bytes = torch.cuda.max_memory_allocated(device)
    one_thread = device.type == "cpu" and torch.get_num_threads() == 1
    for _ in range(runs):
        for name, function in variants.items():
            before = time.process_time()
            times[name].seconds.append(seconds_of(function, device))
            if one_thread:
                times[name].busy.append(time.process_time() - before)
    return times


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call: by CUDA events on a GPU, else by the clock."""
    if device.type != "cuda":
        start = time.perf_counter()
        function()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    function()
    end.record()
    torch.cuda.synchronize(device)
    return begin.elapsed_time(end) / 1000


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Autocast of a precision's name; none for float32."""
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def matmul_peak(device: torch.device, dtype: torch.dtype, quick: bool) -> float:
    """Floating-point operations per second of a large matrix product: the best of several, measured on the spot."""
    size = 256 if quick else 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = alternate({"product": lambda: a @ b}, 1, 3 if quick else 15, device)["product"]
    return 2 * size**3 / min(times.busy or times.seconds)


def count_flops(function: Callable[[], object]) -> int:
    """Floating-point operations of one call: matrix products and convolutions (a multiply-add counts two)."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def protocol(args: argparse.Namespace, device: torch.device, **more: object) -> dict[str, str]:
    """What belongs beside a figure."""
    facts: dict[str, object] = {
        "device": device_name(device),
        "torch": torch.__version__,
        "precision": args.precision,
        "threads": args.threads,
        **more,
        "warm-up": f"{args.warm_up} runs of each variant",
        "runs": f"{args.runs} of each variant, in turn; medians",
        **machine_load(),
    }
    return {key: str(value) for key, value in facts.items()}


def machine_load() -> dict[str, str]:
    """How busy the machine is."""
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    return {"load of the machine": f"{loads} on {os.cpu_count()} cores"}


def in_words(facts: Mapping[str, object]) -> str:
    """A protocol on one line."""
    return "; ".join(f"{key}: {value}" for key, value in facts.items()) + "."


def device_name(device: torch.device) -> str:
    """Name of the GPU or CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def table(times: Mapping[str, Times], frames: int, flops: int, peak: float) -> list[str]:
    """Markdown rows of all variants.

    Args:
        times: of the variants; speed is against the last.
        frames: of a run.
        flops: floating-point operations of a run.
        peak: the device's operations per second.
    """
    base = list(times.values())[-1].cost
    memory = any(entry.peak_bytes is not None for entry in times.values())
    busy = any(entry.busy for entry in times.values())
    heads = ["variant", "median ms", "min to max", *["processor ms"] * busy, "frames/s", "speed", "share of peak"]
    heads += ["peak memory MiB"] * memory
    rows = []
    for name, entry in times.items():
        low, high = 1000 * min(entry.seconds), 1000 * max(entry.seconds)
        row = [
            name,
            f"{1000 * entry.median:.1f}",
            f"{low:.1f} to {high:.1f}",
            *[f"{1000 * entry.cost:.1f}"] * busy,
            f"{frames / entry.cost:.1f}",
            f"{base / entry.cost:.2f}",
            f"{100 * flops / entry.cost / peak:.0f} %",
        ]
        rows.append(row + [f"{(entry.peak_bytes or 0) / 2**20:.0f}"] * memory)
    return markdown_table(heads, rows, right=range(1, len(heads)))


def write_section(path: Path, name: str, body: str) -> None:
    """Put a section into a Markdown file, in place of its last version; other text stays."""
    text = path.read_text(encoding="utf-8") if path.exists() else _INTRO
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{body.strip()}\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    text = pattern.sub(lambda _: section, text) if pattern.search(text) else f"{text.rstrip()}\n\n{section}\n"
    write_text(path, text)


def peak_note(peak: float) -> str:
    """What the shares refer to; ``peak`` in operations per second."""
    return (
        f"Peak: {peak / 1e9:.0f} GFLOP/s, torch's product of two large matrices, the best of several on the spot. The "
        "share counts matrix products and convolutions of the last variant; above 100 % kernels beat torch's product."
    )


def report(title: str, facts: Mapping[str, str], tables: Mapping[str, list[str]], note: str) -> str:
    """Markdown of one benchmark: protocol, tables, note."""
    lines = [f"## {title}", "", in_words(facts), ""]
    for name, rows in tables.items():
        lines += [f"### {name}", "", *rows, ""]
    return "\n".join([*lines, note])
