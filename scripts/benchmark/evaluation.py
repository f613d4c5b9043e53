"""Time of an evaluation with hotcoco and with pycocotools.

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
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import make_parser
from scripts.benchmark import command
from scripts.benchmark.measure import CPU, Times, alternate
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.evaluation.coco import MAX_DETECTIONS, Backend, Boxes, by_hotcoco
from utils.evaluation.prophesee import PropheseeEvaluator
from utils.tables import table

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


def by_pycocotools(labels: Boxes, detections: Boxes) -> npt.NDArray[np.float64]:
    """Precision over recall by the reference implementation, for comparison only.

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

    images = [{"id": window} for window in np.union1d(labels.window, detections.window).tolist()]
    parts = []
    for boxes in (labels, detections):
        columns = zip(*(column.tolist() for column in (boxes.window, boxes.xywh, boxes.area, boxes.score)), strict=True)
        annotations = [
            {"id": index, "image_id": window, "category_id": 1, "bbox": box, "area": area, "iscrowd": 0, "score": score}
            for index, (window, box, area, score) in enumerate(columns, start=1)
        ]
        coco = COCO()
        content = {"info": {}, "images": images, "categories": [{"id": 1}], "annotations": annotations}
        coco.dataset = content  # pyright: ignore[reportAttributeAccessIssue] - its stubs are narrower than it is
        coco.createIndex()
        parts.append(coco)
    evaluation = COCOeval(parts[0], parts[1], "bbox")
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, :, 0]


def evaluate(backend: Backend, labels: list[BoxArray], detections: list[BoxArray]) -> dict[str, float]:
    """What val.py does with all frames: filters, windows, overall figures and those of each class."""
    evaluator = PropheseeEvaluator(CLASSES, 240, 304, 30, 10, backend=backend)
    evaluator.add(labels, detections)
    return evaluator.compute(extra=False)


def report(frames: int, times: Mapping[str, Times], figures: Mapping[str, Mapping[str, float]]) -> str:
    """Median seconds by the clock and of the processors, their ratios, and AP of each library."""
    heads = ("library", "median s", "runs s", "times as fast", "processor s", "times less", "AP", "AP_50")
    slowest, busiest = (max(getattr(entry, kind) for entry in times.values()) for kind in ("median", "cost"))
    rows = []
    for name, entry in times.items():
        runs = " ".join(f"{seconds:.2f}" for seconds in entry.seconds)
        clock, busy = f"{entry.median:.2f}", f"{entry.cost:.2f}"
        ratios = f"{slowest / entry.median:.1f}", f"{busiest / entry.cost:.1f}"
        ap, ap_50 = (f"{100 * figures[name][key]:.3f}" for key in ("AP", "AP_50"))
        rows.append((name, clock, runs, ratios[0], busy, ratios[1], ap, ap_50))
    note = (
        f"{frames} synthetic frames with {LABELS} labels and {DETECTIONS} detections each on average, two classes; "
        "overall and per class, through `utils/evaluation`, both libraries in turn; by the clock and in "
        "processor seconds of all threads (hotcoco starts some). "
        f"{platform.machine()}, {os.cpu_count()} CPUs."
    )
    return "\n".join(["## Evaluation", "", note, "", *table(heads, rows)])


def run(args: argparse.Namespace) -> str:
    """Measure in turn, compare the figures, and give the report.

    Raises:
        UserError: a library is not installed.
    """
    torch.set_num_threads(1)  # processor seconds are taken
    labels, detections = synthetic_frames(args.frames, args.seed)
    figures: dict[str, dict[str, float]] = {}

    def one_run(name: str, backend: Backend) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            figures[name] = evaluate(backend, labels, detections)
        log.info("a run of %s is done", name)

    backends = {"hotcoco": by_hotcoco, "pycocotools": by_pycocotools}
    times = alternate({name: partial(one_run, name, own) for name, own in backends.items()}, 0, args.runs, CPU)
    first, second = figures.values()
    worst = max(abs(first[name] - second[name]) for name in first)
    if worst > 1e-9:
        raise RuntimeError(f"the two libraries differ by {worst}")
    return report(args.frames, times, figures)


def main() -> None:
    """Entry point."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--frames", type=int, default=20_000, help="labelled frames (default: 20000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each library (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic boxes (default: 0)")
    command.main("Evaluation", parser, run, frames=1, runs=1)


if __name__ == "__main__":
    main()
