"""Speed and memory of the data side: decoding, preprocessing, loading; prints a Markdown table.

For example:
  python scripts/benchmark/data.py --markdown docs/BENCHMARKS.md
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import h5py
import numba
import numpy as np
import torch

from scripts.benchmark.measure import device_name, write_section
from utils.commands.cli import run_command
from utils.errors import UserError

SECTIONS = {
    "decoding": ("Decoding of recordings", "scripts.benchmark.data_decoding", "events"),
    "preprocessing": ("Preprocessing", "scripts.benchmark.data_preprocessing", "events"),
    "loading": ("Loading of training batches", "scripts.benchmark.data_loading", "frames"),
}
"""Title, module with ``rows``, and which of the sizes it takes."""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sections", nargs="+", choices=sorted(SECTIONS), default=list(SECTIONS), help="which parts (default: all)"
    )
    parser.add_argument("--events", type=int, default=10_000_000, help="events of a recording (default: 10 million)")
    parser.add_argument("--frames", type=int, default=400, help="frames of a measurement of loading (default: 400)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each variant; medians are shown (default: 5)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table into this file, too")
    return parser


def run(args: argparse.Namespace) -> str:
    """Measure and give the report in Markdown.

    Raises:
        UserError: a number on the command line is out of range.
    """
    if min(args.events, args.frames, args.repeats) < 1 or args.events < 1000:
        raise UserError(
            expected="--events from 1000, --frames and --repeats from 1",
            got=f"{args.events}, {args.frames}, {args.repeats}",
            where="command line",
            fix="give larger numbers",
        )
    torch.set_num_threads(1)
    parts = ["## Data", ""]
    tables: list[str] = []
    for name in SECTIONS:
        if name in args.sections:
            title, module, size = SECTIONS[name]
            rows = importlib.import_module(module).rows(getattr(args, size), args.repeats)
            tables += ["", f"### {title}", "", *table(rows)]
    parts.append(protocol(args))
    return "\n".join(parts + tables)


def protocol(args: argparse.Namespace) -> str:
    """What belongs beside the figures, on one line."""
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
        "load of the machine": " ".join(f"{load:.1f}" for load in os.getloadavg()) + f" on {os.cpu_count()} cores",
    }
    return "; ".join(f"{key}: {value}" for key, value in facts.items()) + "."


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown of rows with name, value, unit and note."""
    lines = ["| what | value | unit | how |", "| --- | ---: | --- | --- |"]
    for row in rows:
        value = row["value"]
        text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        lines.append(f"| {row['name']} | {text} | {row['unit']} | {row['note']} |")
    return lines


def main() -> None:
    """Entry point."""
    args = build_parser().parse_args()

    def command() -> None:
        text = run(args)
        print(text)
        if args.markdown is not None:
            write_section(args.markdown, "data", text)

    run_command(command)


if __name__ == "__main__":
    main()
