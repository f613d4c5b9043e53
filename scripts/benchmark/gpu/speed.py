"""Checks of speed on a GPU: training steps, launches and waits, single frames, labelling."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from models.detection.cuda_graph import graphed
from models.detection.streaming import StreamingStep
from scripts.benchmark import latency, measure
from scripts.benchmark.gpu.report import Case, Result
from scripts.benchmark.gpu.subject import LAUNCHES, Bench, launches, milliseconds, synchronisations
from scripts.benchmark.subjects import plain_arithmetic
from scripts.benchmark.throughput import Workload

GOAL = 3.0
"""Times as fast as the frame loop in plain arithmetic that training, and a frame as a CUDA graph, are to be."""


def cases(bench: Bench) -> list[Case]:
    """Checks without compilation, in order."""
    found = [
        Case("Training step", precision, partial(training, bench, precision), 15) for precision in measure.PRECISIONS
    ]
    found += [
        Case("Training step", f"{precision}, against the frame loop", partial(against_loop, bench, precision), 20)
        for precision in ("32", "16")
    ]
    found += [
        Case("Training step", f"{precision}, launches and waits", partial(counts, bench, precision), 15)
        for precision in ("16", "bf16")
    ]
    found += [
        Case("One frame", f"{precision}, milliseconds", partial(one_frame, bench, precision), 15)
        for precision in ("32", "16")
    ]
    found += [
        Case("One frame", f"{precision}, graph equals eager", partial(graph_equality, bench, precision), 8)
        for precision in ("32", "16")
    ]
    looped = partial(one_frame, bench, "16", "model.backbone.lstm.fused=false")
    found.append(Case("One frame", "16, milliseconds without the fused LSTM", looped, 15))
    return found


def compiled_cases(bench: Bench) -> list[Case]:
    """Checks with compilation, which takes its time."""
    return [
        Case("Compiled", "training step, bf16", partial(training, bench, "bf16", compiled=True), 75),
        Case("Compiled", "one frame, 16", partial(one_frame_compiled, bench, "16"), 60),
    ]


@cache
def peak(device: torch.device, dtype: torch.dtype, quick: bool) -> float:
    """Operations per second of a large matrix product, measured once."""
    return measure.matmul_peak(device, dtype, quick)


@cache
def step_flops(bench: Bench) -> int:
    """Operations of a training step's products and convolutions."""
    workload = Workload(bench.fresh(), bench.steps, bench.lanes, "32")

    def plain() -> None:
        with plain_arithmetic(workload.detector):
            workload.train(workload.loop)

    return measure.count_flops(plain)


def training(bench: Bench, precision: str, compiled: bool = False) -> Result:
    """Fifty steps: time, frames, share of the peak, memory, and whether the last loss is a number."""
    begin = time.perf_counter()
    subject = bench.fresh(*(("model.backbone.compile.enable=true",) if compiled else ()))
    workload = Workload(subject, bench.steps, bench.lanes, precision)
    losses: list[Tensor] = []
    first = measure.seconds_of(lambda: losses.append(workload.train(workload.stages)), bench.device)
    warm_up, runs = (0, 2) if bench.quick else (5, 50)
    step = {"": lambda: losses.append(workload.train(workload.stages))}
    times = measure.alternate(step, warm_up, runs, bench.device)[""]
    finite = bool(torch.isfinite(torch.stack(losses)).all())
    frames = bench.steps * bench.lanes / times.median
    share = step_flops(bench) / times.median / peak(bench.device, workload.dtype, bench.quick)
    figures = f"{milliseconds(times)}; {frames:.0f} frames/s; {share:.1%} of the peak; first step {first:.1f} s; "
    figures += f"loss {float(losses[0]):.3f} to {float(losses[-1]):.3f}; {time.perf_counter() - begin:.0f} s in all"
    return Result(figures, finite)


def against_loop(bench: Bench, precision: str) -> Result:
    """Stages at once against the frame loop in plain arithmetic, eager."""
    workload = Workload(bench.fresh(), bench.steps, bench.lanes, precision)
    variants = next(iter(workload.variants().values()))
    times = measure.alternate(variants, 1, 2 if bench.quick else 5, bench.device)
    ratio = list(times.values())[-1].median / next(iter(times.values())).median
    text = "; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items())
    return Result(f"{ratio:.1f} times as fast; {text}", None if bench.quick else ratio >= GOAL)


def counts(bench: Bench, precision: str) -> Result:
    """Kernels that a step starts, and where it waits for the GPU."""
    workload = Workload(bench.fresh(), bench.steps, bench.lanes, precision)
    step = partial(workload.train, workload.stages)
    for _ in range(3):
        step()
    waits = synchronisations(step, bench.device)
    calls = launches(step, bench.device)
    started = sum(calls[name] for name in LAUNCHES)
    return Result(f"{started} launches; {calls['cudaMemcpyAsync']} copies; {_places(waits)}")


def _places(waits: Counter[str]) -> str:
    """How often and where a step waits."""
    places = ", ".join(f"{place} ×{count}" for place, count in waits.most_common(8))
    return f"{waits.total()} waits" + (f" ({places})" if places else "")


def _arguments(precision: str) -> argparse.Namespace:
    return argparse.Namespace(batch_size=1, precision=precision, threads=1)


def one_frame(bench: Bench, precision: str, *more: str) -> Result:
    """Milliseconds of a frame: plain, eager and, on a GPU, as a CUDA graph."""
    names = ["plain", "eager", *["graph"] * (bench.device.type == "cuda")]
    times = _frame_times(bench, precision, names, *more)
    plain, best = times[latency.NAMES["plain"]], list(times.values())[-1]
    text = "; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items())
    goal = plain.median / best.median >= GOAL if bench.device.type == "cuda" else None
    return Result(f"{plain.median / best.median:.1f} times as fast; {text}", goal)


def one_frame_compiled(bench: Bench, precision: str) -> Result:
    """Milliseconds of a compiled frame beside an eager one."""
    begin = time.perf_counter()
    times = _frame_times(bench, precision, ["compiled", "eager"])
    text = "; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items())
    return Result(f"{text}; {time.perf_counter() - begin:.0f} s in all")


def _frame_times(bench: Bench, precision: str, names: list[str], *more: str) -> dict[str, measure.Times]:
    subject = bench.fresh(*more)
    with tempfile.TemporaryDirectory() as folder:
        variants = latency.build_variants(names, subject, _arguments(precision), Path(folder))
    return measure.alternate(variants, 3, 2 if bench.quick else 50, bench.device)


@torch.no_grad()
def graph_equality(bench: Bench, precision: str) -> Result:
    """Predictions and states of five frames as a CUDA graph and without one."""
    subject = bench.fresh()
    network = StreamingStep(subject.detector, subject.frame_hw)

    def step(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad(), bench.autocast(precision):
            return network(*inputs)

    fast = graphed(step, network.zero_frame(1), *network.initial_states())
    states = {name: network.initial_states() for name in ("eager", "graph")}
    largest = 0.0
    for frame in subject.frames(5, 1, padded=False):
        results = {}
        for name, function in (("eager", step), ("graph", fast)):
            results[name] = function(frame, *states[name])
            states[name] = list(results[name][1:])
        pairs = zip(*results.values(), strict=True)
        largest = max(largest, *(float((a.float() - b.float()).abs().max()) for a, b in pairs))
    goal = 1e-3 if precision == "32" else 0.5
    return Result(f"largest difference {largest:.1e} (pixels, probabilities, states)", largest <= goal)
