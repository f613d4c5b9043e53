"""One frame at a time: milliseconds from a frame on the device to its predictions, states carried.

Variants: eager; compiled (torch.compile); graph (CUDA graph, on a GPU); onnxruntime (the exported file); plain (eager
with attention written out as a softmax and LSTM gates written out). Thresholds and NMS are not part of it.

For example:
  python scripts/benchmark/latency.py --markdown docs/BENCHMARKS.md
  python scripts/benchmark/latency.py dataset=gen1 +experiment/gen1=base --device cuda --precision 16
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from models.detection.cuda_graph import graphed
from models.detection.streaming import StreamingStep
from modules.utils.onnx_export import OnnxStream, check_packages, export_onnx
from scripts.benchmark import measure
from scripts.benchmark.subjects import DEFAULT_OVERRIDES, QUICK_OVERRIDES, Subject, plain_arithmetic
from utils.cli import run_command

VARIANTS = ("onnxruntime", "compiled", "graph", "eager", "plain")
NAMES = {"plain": "eager, plain softmax attention", "graph": "CUDA graph", "compiled": "torch.compile"}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="latency.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    measure.add_arguments(parser, runs=30)
    parser.add_argument("--batch-size", type=int, default=1, metavar="B", help="streams run together (default: 1)")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        help="what to measure (default: all that fit the device; with --quick eager and plain)",
    )
    return parser


def chosen(args: argparse.Namespace, device: torch.device) -> list[str]:
    """Variants to measure, in the order of the table."""
    cuda = device.type == "cuda"
    default = ("eager", "plain") if args.quick else ("compiled", "eager", "plain", "graph" if cuda else "onnxruntime")
    wanted = set(args.variants or default)
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
        self.frames = subject.frames(8, lanes, padded=False)
        self.states = states
        self.count = 0

    def __call__(self) -> None:
        """The next frame."""
        _, *self.states = self.step(self.frames[self.count % len(self.frames)], *self.states)
        self.count += 1


def build_variants(
    names: list[str], subject: Subject, args: argparse.Namespace, folder: Path
) -> dict[str, Callable[[], None]]:
    """Callables that run one frame each."""
    network = StreamingStep(subject.detector, subject.frame_hw)
    lanes, device = args.batch_size, subject.device
    dtype = measure.PRECISIONS[args.precision]

    def step(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.no_grad(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            return network(*inputs)

    def plain(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with plain_arithmetic():
            return step(*inputs)

    def make(name: str) -> Callable[[], None]:
        states = network.initial_states(lanes)
        if name == "onnxruntime":
            check_packages()
            export_onnx(network, folder / "step.onnx", lanes)
            providers = ("CUDAExecutionProvider",) if device.type == "cuda" else ("CPUExecutionProvider",)
            session = OnnxStream(folder / "step.onnx", args.threads, providers)
            frames = subject.frames(8, lanes, padded=False).cpu().numpy()
            counter = iter(range(10**9))
            return lambda: (session.step(frames[next(counter) % len(frames)]), None)[1]
        if name == "compiled":
            mode = "reduce-overhead" if device.type == "cuda" else None
            return Stream(torch.compile(step, mode=mode), subject, states, lanes)
        if name == "graph":
            inputs = (network.zero_frame(lanes), *states)
            return Stream(graphed(step, *inputs), subject, states, lanes)
        return Stream(plain if name == "plain" else step, subject, states, lanes)

    return {NAMES.get(name, name): make(name) for name in names}


def flops_of_a_frame(subject: Subject, lanes: int) -> int:
    """Operations of one frame's matrix products and convolutions."""
    network = StreamingStep(subject.detector, subject.frame_hw)
    stream = Stream(network, subject, network.initial_states(lanes), lanes)
    with torch.no_grad(), plain_arithmetic():
        return measure.count_flops(stream)


def run(args: argparse.Namespace) -> str:
    """Measure and give the report.

    Raises:
        UserError: a mistake on the command line.
    """
    device = measure.prepare(args)
    overrides = args.overrides or (QUICK_OVERRIDES if args.quick else DEFAULT_OVERRIDES)
    subject = Subject(overrides, device)
    with tempfile.TemporaryDirectory() as folder:
        variants = build_variants(chosen(args, device), subject, args, Path(folder))
        facts = measure.protocol(
            args,
            device,
            model=" ".join(overrides),
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
    args = build_parser().parse_args()

    def command() -> None:
        text = run(args)
        print(text)
        if args.markdown is not None:
            measure.write_section(args.markdown, "latency", text)

    run_command(command)


if __name__ == "__main__":
    main()
