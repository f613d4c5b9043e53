"""Time of an evaluation with faster-coco-eval and with pycocotools.

For example:
  python scripts/benchmark/evaluation.py
  python scripts/benchmark/evaluation.py --frames 5000 --markdown docs/BENCHMARKS.md
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.benchmark.measure import write_section
from utils.boxes import BBOX_DTYPE
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.evaluation.coco import FASTER_COCO_EVAL, CocoBackend
from utils.evaluation.prophesee import PropheseeEvaluator

log = logging.getLogger(__name__)

CLASSES = ("car", "pedestrian")
LABELS, DETECTIONS = 3, 12  # per frame, on average
BoxArray = npt.NDArray[Any]


def synthetic_frames(count: int, seed: int) -> tuple[list[BoxArray], list[BoxArray]]:
    """Labels and detections of ``count`` frames of 240 × 304 pixels: most labels are hit, among false alarms."""
    rng = np.random.default_rng(seed)
    labels, detections = [], []
    for frame in range(count):
        truth = _boxes(rng, int(rng.poisson(LABELS)), frame)
        found = np.concatenate(
            [truth[rng.random(len(truth)) < 0.8], _boxes(rng, int(rng.poisson(DETECTIONS - 2)), frame)]
        )
        for name in ("x", "y", "w", "h"):
            found[name] += rng.normal(0, 3, len(found)).astype(np.float32)
        found["class_confidence"], found["objectness"] = rng.random((2, len(found)))
        labels.append(truth)
        detections.append(found)
    return labels, detections


def _boxes(rng: np.random.Generator, count: int, frame: int) -> BoxArray:
    boxes = np.zeros(count, BBOX_DTYPE)
    boxes["t"] = 1_000_000 + 250_000 * frame
    boxes["x"], boxes["y"] = rng.uniform(0, 220, count), rng.uniform(0, 160, count)
    boxes["w"], boxes["h"] = rng.uniform(20, 110, count), rng.uniform(25, 110, count)
    boxes["class_id"] = rng.integers(0, len(CLASSES), count)
    return boxes


def pycocotools_backend() -> CocoBackend:
    """The reference implementation, for comparison only.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("pycocotools") is None:
        raise UserError(
            expected="pycocotools, to compare with",
            got="it is not installed",
            where="python environment",
            fix="install the dev extra: pip install -e .[dev]",
        )
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def boxes(content: dict[str, Any]) -> Any:
        coco = COCO()
        coco.dataset = content  # pyright: ignore[reportAttributeAccessIssue] - its stubs are narrower than it is
        coco.createIndex()
        return coco

    return CocoBackend(boxes, lambda gt, dt: COCOeval(gt, dt, "bbox"))


def evaluate(backend: CocoBackend, labels: list[BoxArray], detections: list[BoxArray]) -> dict[str, float]:
    """What val.py does with all frames: filters, windows, overall figures and those of each class."""
    evaluator = PropheseeEvaluator(CLASSES, 240, 304, 30, 10, backend=backend)
    evaluator.add(labels, detections)
    return evaluator.compute(extra=False)


Times = dict[str, list[tuple[float, float]]]
"""Seconds by the clock and of the processors, of each run of each library."""


def table(frames: int, times: Times, figures: dict[str, dict[str, float]]) -> str:
    """Median seconds by the clock and of the processors, their ratios, and AP of each library."""
    medians = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in times.items()}
    slowest = [max(column) for column in zip(*medians.values(), strict=True)]
    rows = ["| library | median s | runs s | times as fast | processor s | times less | AP | AP_50 |", "|---" * 8 + "|"]
    for name, (clock, busy) in medians.items():
        runs = " ".join(f"{seconds:.2f}" for seconds, _ in times[name])
        ap, ap50 = (f"{100 * figures[name][key]:.3f}" for key in ("AP", "AP_50"))
        ratios = [slow / own for slow, own in zip(slowest, (clock, busy), strict=True)]
        rows.append(
            f"| {name} | {clock:.2f} | {runs} | {ratios[0]:.1f} | {busy:.2f} | {ratios[1]:.1f} | {ap} | {ap50} |"
        )
    note = (
        f"{frames} synthetic frames with {LABELS} labels and {DETECTIONS} detections each on average, two classes; "
        "overall and per class, through `utils/evaluation`, both libraries in turn; by the clock and in "
        "processor seconds of all threads (faster-coco-eval starts some). "
        f"{platform.machine()}, {os.cpu_count()} CPUs."
    )
    return "\n".join([note, "", *rows])


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description="Time the evaluation of many frames with two COCO libraries.")
    parser.add_argument("--frames", type=int, default=20_000, help="labelled frames (default: 20000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each library (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic boxes (default: 0)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table into this file, too")
    return parser.parse_args()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def main() -> None:
    """Measure in turn, compare the figures, print a table."""
    args = arguments()

    def run() -> None:
        if min(args.frames, args.runs) < 1:
            raise UserError(
                expected="--frames and --runs from 1",
                got=f"{args.frames}, {args.runs}",
                where="command line",
                fix="give positive numbers",
            )
        backends = {"faster-coco-eval": FASTER_COCO_EVAL, "pycocotools": pycocotools_backend()}
        labels, detections = synthetic_frames(args.frames, args.seed)
        times: Times = {name: [] for name in backends}
        figures: dict[str, dict[str, float]] = {}
        for number in range(args.runs):
            for name, backend in backends.items():
                begin = time.perf_counter(), time.process_time()
                with _quiet():
                    figures[name] = evaluate(backend, labels, detections)
                times[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
                log.info("run %d of %d, %s: %.2f s", number + 1, args.runs, name, times[name][-1][0])
        first, second = figures.values()
        worst = max(abs(first[name] - second[name]) for name in first)
        if worst > 1e-9:
            raise RuntimeError(f"the two libraries differ by {worst}")
        text = table(args.frames, times, figures)
        print(text)
        if args.markdown is not None:
            write_section(args.markdown, "Evaluation", f"## Evaluation\n\n{text}")

    run_command(run)


if __name__ == "__main__":
    main()
