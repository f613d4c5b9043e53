"""One frame at a time: milliseconds from a frame on the device to its predictions, states carried.

Variants: eager; compiled (torch.compile); graph (CUDA graph, on a GPU); onnxruntime (the exported file); plain (eager
in plain arithmetic, every formula written out). Thresholds and NMS are not part of it.

For example:
  python scripts/benchmark/latency.py --markdown docs/BENCHMARKS.md
  python scripts/benchmark/latency.py dataset=gen1 +experiment/gen1=base --device cuda --precision 16
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from models.detection.cuda_graph import graphed
from models.detection.streaming import StreamingStep
from modules.live.onnx import OnnxStream, check_packages, export_onnx
from scripts.benchmark import command, measure
from scripts.benchmark.subjects import Subject, plain_arithmetic

VARIANTS = ("onnxruntime", "compiled", "graph", "eager", "plain")
NAMES = {"plain": "eager, plain softmax attention", "graph": "CUDA graph", "compiled": "torch.compile"}


def chosen(args: argparse.Namespace, subject: Subject) -> list[str]:
    """Variants to measure, in the order of the table."""
    cuda = subject.device.type == "cuda"
    default = ("eager", "plain") if args.quick else ("compiled", "eager", "plain", "graph" if cuda else "onnxruntime")
    wanted = set(args.variants or default)
    if not (args.variants or subject.has_plain):
        wanted.remove("plain")
    return [name for name in VARIANTS if name in wanted]


class Stream:
    """Feeds frames to a step and hands its states on.

    Args:
        step: frame and states in, predictions and states out.
        subject: where the frames come from.
        states: to begin with.
        lanes: streams run together.
    """

    def __init__(
        self, step: Callable[..., tuple[torch.Tensor, ...]], subject: Subject, states: list[torch.Tensor], lanes: int
    ) -> None:
        self.step = step
        self.frames = cycle(subject.frames(8, lanes, padded=False))
        self.states = states

    def __call__(self) -> None:
        """The next frame."""
        _, *self.states = self.step(next(self.frames), *self.states)


def build_variants(
    names: list[str], subject: Subject, args: argparse.Namespace, folder: Path
) -> dict[str, Callable[[], object]]:
    """Callables that run one frame each."""
    network = StreamingStep(subject.detector, subject.frame_hw)
    lanes, device = args.batch_size, subject.device

    def step(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.no_grad(), measure.autocast(device, args.precision):
            return network(*inputs)

    def make(name: str) -> Callable[[], object]:
        states = network.initial_states(lanes)
        if name == "onnxruntime":
            check_packages()
            export_onnx(network, folder / "step.onnx", lanes)
            providers = ("CUDAExecutionProvider",) if device.type == "cuda" else ("CPUExecutionProvider",)
            session = OnnxStream(folder / "step.onnx", args.threads, providers)
            frames = cycle(subject.frames(8, lanes, padded=False).cpu().numpy())
            return lambda: session.step(next(frames))
        if name == "compiled":
            return Stream(torch.compile(step), subject, states, lanes)
        if name == "graph":
            inputs = (network.zero_frame(lanes), *states)
            return Stream(graphed(step, *inputs), subject, states, lanes)
        return Stream(plain_arithmetic(subject.detector)(step) if name == "plain" else step, subject, states, lanes)

    return {NAMES.get(name, name): make(name) for name in names}


def flops_of_a_frame(subject: Subject, lanes: int) -> int:
    """Operations of one frame's matrix products and convolutions."""
    network = StreamingStep(subject.detector, subject.frame_hw)
    stream = Stream(network, subject, network.initial_states(lanes), lanes)
    with torch.no_grad(), plain_arithmetic(subject.detector) if subject.has_plain else nullcontext():
        return measure.count_flops(stream)


def run(args: argparse.Namespace) -> str:
    """Measure and give the report.

    Raises:
        UserError: a mistake on the command line.
    """
    device = command.prepare(args)
    subject, model = command.chosen_subject(args, device)
    with tempfile.TemporaryDirectory() as folder:
        variants = build_variants(chosen(args, subject), subject, args, Path(folder))
        facts = measure.protocol(
            args,
            device,
            model=model,
            batch=args.batch_size,
            resolution="x".join(map(str, subject.frame_hw)) + ", padded to " + "x".join(map(str, subject.input_hw)),
        )
        dtype = measure.PRECISIONS[args.precision]
        flops = flops_of_a_frame(subject, args.batch_size)
        peak = measure.matmul_peak(device, dtype, args.quick)
        times = measure.alternate(variants, args.warm_up, args.runs, device)
        peak = max(peak, measure.matmul_peak(device, dtype, args.quick))
    rows = measure.table(times, args.batch_size, flops, peak)
    note = measure.peak_note(peak)
    return measure.report("Latency", facts, {"One frame (frame to predictions)": rows}, note)


def main() -> None:
    """Entry point."""
    parser = command.build_parser(__file__, __doc__)
    command.add_runs(parser, runs=30)
    parser.add_argument("--batch-size", type=int, default=1, metavar="B", help="streams run together (default: 1)")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        help="what to measure (default: all that fit the device; with --quick eager and plain)",
    )
    command.main("latency", parser, run)


if __name__ == "__main__":
    main()
