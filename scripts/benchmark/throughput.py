"""Training steps and sequence inference: all frames of a stage at once, against a loop over frames.

Variants: stage-parallel is what train.py, val.py and predict.py run; the frame loop is the same network one frame at
a time; the last one, too, in plain arithmetic: attention written out as a softmax, LSTM gates as one convolution.

For example:
  python scripts/benchmark/throughput.py --markdown docs/BENCHMARKS.md
  python scripts/benchmark/throughput.py dataset=gen1 +experiment/gen1=base --device cuda --precision 16
  --sequence-length 21 --batch-size 8
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from models.detection.recurrent_backbone.base import BaseDetector
from modules.optim import build_optimizer
from scripts.benchmark import command, measure
from scripts.benchmark.subjects import Subject, plain_arithmetic

STAGES, LOOP, PLAIN = "stage-parallel", "frame loop", "frame loop, plain softmax attention"
LABEL_EVERY = 5
"""Frames between two labelled ones, as on Gen1: 4 labels and 20 frames a second."""


class Workload:
    """Training step and inference of one detector.

    Args:
        subject: the detector.
        steps: frames of a lane; every fifth, counted from the last, is labelled.
        lanes: of a batch.
        precision: name of a precision.
    """

    def __init__(self, subject: Subject, steps: int, lanes: int, precision: str) -> None:
        self.detector = subject.detector
        self.has_plain = subject.has_plain
        self.device = subject.device
        self.dtype = measure.PRECISIONS[precision]
        self.autocast = partial(measure.autocast, self.device, precision)
        self.frames = subject.frames(steps, lanes)
        labelled = torch.arange(steps - 1, -1, -LABEL_EVERY).flip(0)
        self.picks = (labelled[:, None] * lanes + torch.arange(lanes)).flatten().to(self.device)
        self.targets = subject.targets(len(self.picks))
        settings = {"learning_rate": 1e-4, "weight_decay": 0.0, "precision": precision}
        self.optimizer = build_optimizer(self.detector.parameters(), settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        with self.autocast(), torch.no_grad():
            self.states = self.detector.forward_sequence(self.frames[:1])[1]

    def loop(self) -> tuple[dict[int, Tensor], object]:
        """Backbone frame by frame."""
        return BaseDetector.forward_sequence(self.detector.backbone, self.frames, self.states)

    def stages(self) -> tuple[dict[int, Tensor], object]:
        """Backbone stage by stage."""
        return self.detector.forward_sequence(self.frames, self.states)

    def train(self, backbone: Callable[[], tuple[dict[int, Tensor], object]]) -> Tensor:
        """One optimiser step; labelled frames alone go through pyramid, head and loss, which is returned."""
        self.detector.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            features, _ = backbone()
            chosen = {stage: maps.flatten(0, 1).index_select(0, self.picks) for stage, maps in features.items()}
            _, losses = self.detector.forward_detect(chosen, self.targets)
        assert losses is not None
        self.scaler.scale(losses["loss"]).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_value_(self.detector.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return losses["loss"].detach()

    @torch.no_grad()
    def infer_stages(self) -> None:
        """Predictions of all frames, all at once."""
        self.detector.eval()
        with self.autocast():
            features, _ = self.stages()
            self.detector.forward_detect({stage: maps.flatten(0, 1) for stage, maps in features.items()})

    @torch.no_grad()
    def infer_loop(self) -> None:
        """Predictions of all frames, one after the other."""
        self.detector.eval()
        states = self.states
        with self.autocast():
            for frame in self.frames:
                features, states = self.detector.forward_backbone(frame, states)
                self.detector.forward_detect(features)

    def variants(self) -> dict[str, dict[str, Callable[[], object]]]:
        """What is timed, by table and row."""
        train = partial(self.train, self.stages), partial(self.train, self.loop)
        tables: dict[str, dict[str, Callable[[], object]]] = {
            "Training step (forward, loss, backward, AdamW)": {STAGES: train[0], LOOP: train[1]},
            "Sequence inference (frames to predictions)": {STAGES: self.infer_stages, LOOP: self.infer_loop},
        }
        for rows in tables.values():
            if self.has_plain:
                rows[PLAIN] = plain_arithmetic(self.detector)(rows[LOOP])
        return tables


def run(args: argparse.Namespace) -> str:
    """Measure and give the report.

    Raises:
        UserError: a mistake on the command line.
    """
    device = command.prepare(args)
    subject, model = command.chosen_subject(args, device)
    workload = Workload(subject, args.sequence_length, args.batch_size, args.precision)
    facts = measure.protocol(
        args,
        device,
        model=model,
        parameters=f"{sum(p.numel() for p in subject.detector.parameters()) / 1e6:.1f} M",
        L=args.sequence_length,
        batch=args.batch_size,
        resolution="x".join(map(str, subject.input_hw)) + " padded",
        compile="stage bodies" if subject.compiled else "no",
    )
    tables = {}
    peaks = [measure.matmul_peak(device, workload.dtype, args.quick)]
    for name, variants in workload.variants().items():
        flops = measure.count_flops(list(variants.values())[-1])
        times = measure.alternate(variants, args.warm_up, args.runs, device)
        peaks.append(measure.matmul_peak(device, workload.dtype, args.quick))
        tables[name] = measure.table(times, args.sequence_length * args.batch_size, flops, max(peaks))
    note = measure.peak_note(max(peaks))
    return measure.report("Throughput", facts, tables, note)


def main() -> None:
    """Entry point."""
    parser = command.build_parser(__file__, __doc__)
    command.add_runs(parser, runs=10)
    parser.add_argument("--sequence-length", type=int, default=5, metavar="L", help="frames of a lane (default: 5)")
    parser.add_argument("--batch-size", type=int, default=2, metavar="B", help="lanes (default: 2)")
    command.main("throughput", parser, run, sequence_length=1, batch_size=1)


if __name__ == "__main__":
    main()
