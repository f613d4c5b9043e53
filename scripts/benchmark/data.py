"""Speed and memory of the data side: decoding, preprocessing, loading; prints a Markdown table.

For example:
  python scripts/benchmark/data.py --markdown docs/BENCHMARKS.md
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import h5py
import numba
import numpy as np
import torch

from scripts import make_parser
from scripts.benchmark import command
from scripts.benchmark.measure import Row, device_name, in_words, machine_load
from utils.tables import table

SECTIONS = {
    "decoding": ("Decoding of recordings", "scripts.benchmark.data_parts.decoding", "events"),
    "preprocessing": ("Preprocessing", "scripts.benchmark.data_parts.preprocessing", "events"),
    "pillars": ("Pillars of events", "scripts.benchmark.data_parts.pillars", "events"),
    "loading": ("Loading of training batches", "scripts.benchmark.data_parts.loading", "frames"),
}
"""Title, module with ``rows``, and which of the sizes it takes."""


def run(args: argparse.Namespace) -> str:
    """Measure and give the report in Markdown."""
    torch.set_num_threads(1)
    facts = {
        "device": device_name(torch.device("cpu")),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "h5py": h5py.__version__,
        "threads": "1",
        "events": args.events,
        "frames": args.frames,
        "repeats": f"{args.repeats}, medians",
        "times": "of the processor where a row says per core, else of the clock",
    }
    tables: list[str] = []
    for name in (name for name in SECTIONS if name in args.sections):
        title, module, size = SECTIONS[name]
        rows = importlib.import_module(module).rows(getattr(args, size), args.repeats)
        tables += ["", f"### {title}", "", *row_table(rows)]
    return "\n".join(["## Data", "", in_words(facts | machine_load()), *tables])


def row_table(rows: Sequence[Row]) -> list[str]:
    """Markdown of measured rows."""
    cells = []
    for row in rows:
        value = f"{row['value']:,.0f}" if row["value"] >= 100 else f"{row['value']:.3g}"
        cells.append((row["name"], value, row["unit"], row["note"]))
    return table(("what", "value", "unit", "how"), cells, right=[1])


def main() -> None:
    """Entry point."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument(
        "--sections", nargs="+", choices=sorted(SECTIONS), default=list(SECTIONS), help="which parts (default: all)"
    )
    parser.add_argument("--events", type=int, default=10_000_000, help="events of a recording (default: 10 million)")
    parser.add_argument("--frames", type=int, default=400, help="frames of a measurement of loading (default: 400)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each variant; medians are shown (default: 5)")
    command.main("data", parser, run, events=1000, frames=1, repeats=1)


if __name__ == "__main__":
    main()
