"""The command line that benchmarks of the detector share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from scripts import check_least, make_parser
from scripts.benchmark.measure import PRECISIONS, write_section
from scripts.benchmark.subjects import DEFAULT_OVERRIDES, QUICK_OVERRIDES, Subject
from utils.commands.cli import run_command
from utils.errors import UserError


def build_parser(file: str, description: str | None, size: str = "tiny") -> argparse.ArgumentParser:
    """Parser with the options of all that measure a detector, by default one of this size on Gen1."""
    parser = make_parser(file, description)
    model = f"model, as for train.py (default: dataset=gen1 +experiment/gen1={size})"
    parser.add_argument("overrides", nargs="*", help=model)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch and onnxruntime (default: 1)")
    parser.add_argument("--quick", action="store_true", help="toy sizes: shows that all of it works")
    return parser


def add_runs(parser: argparse.ArgumentParser, runs: int) -> None:
    """Options of those that measure variants in turn."""
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="32", help="by autocast (default: 32)")
    parser.add_argument("--warm-up", type=int, default=2, help="runs of each variant before measuring (default: 2)")
    parser.add_argument("--runs", type=int, default=runs, help=f"measured runs of each variant (default: {runs})")


def prepare(args: argparse.Namespace) -> torch.device:
    """Device and threads as asked for.

    Raises:
        UserError: there is no such device, or a number is not positive.
    """
    check_least(args, threads=1, runs=1, warm_up=0)
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


def main(name: str, parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], str], **least: int) -> None:
    """Print the report of ``run``, and put it into the file that the command line names.

    Args:
        name: of the report's section.
        parser: of the options, without that file.
        run: measures and gives the report.
        least: smallest values, see ``check_least``.
    """
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the report into this file, too")
    args = parser.parse_args()

    def command() -> None:
        check_least(args, **least)
        text = run(args)
        print(text)
        if args.markdown is not None:
            write_section(args.markdown, name, text)

    run_command(command)
