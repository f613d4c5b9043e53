"""Everything that only a GPU can show, in minutes: a row for each check, written as soon as it is there.

Types and numbers of the LSTM and of attention at large sizes, equality with the CPU, training steps in all precisions,
launches and waits, single frames as CUDA graph, labelling, and small runs of train.py that are killed and go on.
A check that fails is a row and does not stop the others; what the budget leaves no time for is named.

For example:
  python scripts/benchmark/gpu_check.py --device cuda --markdown docs/BENCHMARKS.md
  python scripts/benchmark/gpu_check.py --quick
To survive a check that takes the process with it, keep the finished rows and start again until all is done (status 75:
start again):
  for i in 1 2 3; do python scripts/benchmark/gpu_check.py --device cuda --output gpu.md --state gpu.json && break; done
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from scripts.benchmark import command, measure
from scripts.benchmark.gpu.report import Case, Checks, Result, first_line
from scripts.benchmark.gpu.subject import Bench
from utils.atomic import write_text
from utils.commands.cli import run_command
from utils.errors import UserError

NAME = "gpu_check"
GROUPS = {
    "device": ("gpu_check", "device_cases"),
    "layers": ("gpu.layers", "cases"),
    "speed": ("gpu.speed", "cases"),
    "commands": ("gpu.module", "cases"),
    "training": ("gpu.training", "cases"),
    "compiled": ("gpu.speed", "compiled_cases"),
}
"""Module and function that lists the checks, by name of their group, in order; loaded only when they are listed."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command.build_parser(__file__, __doc__, size="small")
    parser.set_defaults(precision="32", runs=1, warm_up=0)  # each check has its own
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the report into this file after each check")
    parser.add_argument("--budget-s", type=float, default=480, metavar="S", help="seconds for all (default: 480)")
    parser.add_argument("--only", metavar="GROUPS", help=f"some of the checks: {','.join(GROUPS)}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report alone to this file, likewise")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep finished rows here, and go on after them")
    return parser


def device_cases(bench: Bench) -> list[Case]:
    """What the machine is and can do."""
    peaks = [
        Case("Device", f"matrix product, {precision}", partial(product, bench, precision), 5)
        for precision in measure.PRECISIONS
    ]
    return [*peaks, Case("Device", "copy on the device", partial(bandwidth, bench), 5)]


def product(bench: Bench, precision: str) -> Result:
    """Operations per second of torch's product of two large matrices."""
    peak = measure.matmul_peak(bench.device, measure.PRECISIONS[precision], bench.quick)
    return Result(f"{peak / 1e12:.2f} TFLOP/s")


def bandwidth(bench: Bench) -> Result:
    """Bytes read and written per second by a large copy."""
    source = torch.empty(1 << (20 if bench.quick else 32), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    times = measure.alternate({"": lambda: target.copy_(source)}, 1, 5, bench.device)[""]
    return Result(f"{2 * source.numel() / min(times.seconds) / 1e9:.0f} GB/s")


def collect(bench: Bench, wanted: Sequence[str]) -> list[Case]:
    """Checks of the groups; a group that cannot be loaded is a check that fails."""
    found: list[Case] = []
    for name in wanted:
        module, function = GROUPS[name]
        try:
            found += getattr(importlib.import_module(f"scripts.benchmark.{module}"), function)(bench)
        except ImportError as error:
            text = first_line(error)
            found.append(Case(name, "cannot be loaded", partial(Result, text, False), 0))
    return found


def facts(args: argparse.Namespace, bench: Bench) -> dict[str, str]:
    """Protocol of the report."""
    device = bench.device
    more: dict[str, object] = {"python": platform.python_version(), "model": " ".join(bench.model)}
    more |= {"L": bench.steps, "batch": bench.lanes}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        more["capability"] = f"{properties.major}.{properties.minor}"
        more["memory"] = f"{properties.total_memory / 2**30:.0f} GiB"
        more |= {"CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    found = measure.protocol(args, device, **more)
    return {**found, "precision": "as named", "warm-up": "in each check", "runs": "medians of several, in turn"}


def check(args: argparse.Namespace) -> str:
    """Run the checks and give the report.

    Raises:
        UserError: a mistake on the command line.
    """
    device = command.prepare(args)
    wanted = args.only.split(",") if args.only else list(GROUPS)
    unknown = set(wanted) - set(GROUPS)
    if unknown or args.budget_s <= 0:
        raise UserError(
            expected=f"--only of {', '.join(GROUPS)}; --budget-s above 0",
            got=", ".join(sorted(unknown)) or str(args.budget_s),
            where="command line",
            fix="correct it",
        )
    bench = Bench(device, args.quick, tuple(args.overrides))
    if device.type == "cuda":
        if device.index is not None:
            torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # as train.py does by default

    def write(text: str) -> None:
        if args.output is not None:
            write_text(args.output, text + "\n")
        if args.markdown is not None:
            measure.write_section(args.markdown, NAME, text)

    checks = Checks(write, facts(args, bench), args.budget_s, args.state)
    checks.run(collect(bench, wanted))
    return checks.report()


def main() -> None:
    """Entry point; a report with failed checks ends well too, since it is whole."""
    args = build_parser().parse_args()
    run_command(lambda: print(check(args)))


if __name__ == "__main__":
    main()
