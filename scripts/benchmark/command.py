"""The command line that benchmarks of the detector share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from scripts.benchmark.measure import PRECISIONS, write_section
from scripts.benchmark.subjects import DEFAULT_OVERRIDES, QUICK_OVERRIDES, Subject
from utils.commands.cli import run_command
from utils.errors import UserError


def build_parser(name: str, description: str | None, runs: int) -> argparse.ArgumentParser:
    """Parser with the options that all have."""
    parser = argparse.ArgumentParser(
        prog=f"{name}.py", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "overrides", nargs="*", help="model, as for train.py (default: dataset=gen1 +experiment/gen1=tiny)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 (default: cpu)")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="32", help="by autocast (default: 32)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch and onnxruntime (default: 1)")
    parser.add_argument("--warm-up", type=int, default=2, help="runs of each variant before measuring (default: 2)")
    parser.add_argument("--runs", type=int, default=runs, help=f"measured runs of each variant (default: {runs})")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table into this file, too")
    parser.add_argument("--quick", action="store_true", help="a toy model, two runs: shows that the script works")
    return parser


def prepare(args: argparse.Namespace) -> torch.device:
    """Device and threads as asked for.

    Raises:
        UserError: there is no such device, or a number is not positive.
    """
    if min(args.threads, args.runs) < 1 or args.warm_up < 0:
        raise UserError(
            expected="--threads and --runs from 1, --warm-up from 0",
            got=f"{args.threads}, {args.runs}, {args.warm_up}",
            where="command line",
            fix="give positive numbers",
        )
    if args.quick:
        args.runs, args.warm_up = 2, 1
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(expected="a CUDA device", got="none", where="--device", fix="leave it out, or say cpu")
    torch.set_num_threads(args.threads)
    return torch.device(args.device)


def chosen_subject(args: argparse.Namespace, device: torch.device) -> tuple[Subject, str]:
    """The detector that the command line names, and its overrides in words.

    Raises:
        UserError: the overrides do not compose.
    """
    overrides = args.overrides or (QUICK_OVERRIDES if args.quick else DEFAULT_OVERRIDES)
    return Subject(overrides, device), " ".join(overrides)


def main(name: str, args: argparse.Namespace, run: Callable[[argparse.Namespace], str]) -> None:
    """Print the report of ``run``, and put it into the file that the command line names."""

    def command() -> None:
        text = run(args)
        print(text)
        if args.markdown is not None:
            write_section(args.markdown, name, text)

    run_command(command)
