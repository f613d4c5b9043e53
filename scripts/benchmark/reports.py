"""Reports of long runs: how long they take to make and to open, and how much they weigh; logs and matches are made up.

For example:
  python scripts/benchmark/reports.py
  python scripts/benchmark/reports.py --steps 400000 --every 1 --detections 2000000
  python scripts/benchmark/reports.py --browser chromium
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from modules.reports.evaluation import FIGURES
from modules.reports.matches import FILE as MATCHES
from modules.reports.matches import Matches
from modules.reports.training import LOGS
from modules.reports.write import write_report
from scripts import make_parser
from scripts.benchmark import command
from utils.atomic import write_json, write_text
from utils.errors import UserError
from utils.evaluation.coco import METRICS
from utils.tables import table

CLASSES = ("car", "pedestrian")
LOSSES = ("loss", "conf_loss", "iou_loss", "cls_loss", "l1_loss", "num_fg")
PARTS = ("backbone", "stage1", "stage2", "stage3", "stage4", "fpn", "head")


def write_logs(folder: Path, steps: int, every: int) -> int:
    """A training's folder: losses and rates every so many steps, health every 1,000, AP every 10,000; returns rows."""
    rng = np.random.default_rng(0)
    figures = [
        f"val/{kind}{m}{c}" for kind in ("", "strict_", "product_") for m in METRICS for c in ("", "_car", "_bus")
    ]
    health = [f"health/grad_{part}_{kind}" for part in PARTS for kind in ("mean", "max")]
    losses, rows = [f"train/{name}" for name in LOSSES], 0
    (folder / LOGS).mkdir(parents=True)
    write_text(folder / "config.yaml", "dataset:\n  name: made up\n  classes: [car, bus]\n")
    with (folder / LOGS / "metrics.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["epoch", "lr-AdamW", "step", *losses, *health, *figures])
        writer.writeheader()
        for step in range(0, steps, every):
            level = 8 / (1 + step / 2e4)
            found = [{"lr-AdamW": 2e-4 * (1 - step / steps)}]
            found.append({"epoch": 0, **dict(zip(losses, (level + rng.random(len(losses))).tolist(), strict=True))})
            if step % 1000 == 0:
                found.append(dict(zip(health, rng.lognormal(-6, 1, len(health)).tolist(), strict=True)))
            if step % 10_000 == 0:
                found.append(
                    dict(zip(figures, (0.4 * step / steps + 0.1 * rng.random(len(figures))).tolist(), strict=True))
                )
            writer.writerows({"step": step, **row} for row in found)
            rows += len(found)
    lines = [f"{step},{900 + 50 * rng.random():.1f},{0.1 * rng.random():.4f}\n" for step in range(0, steps, every)]
    write_text(folder / LOGS / "perf.csv", "step,perf/frames_per_s,perf/data_wait\n" + "".join(lines))
    return rows


def write_evaluation(folder: Path, detections: int) -> None:
    """An evaluation's folder with so many detections, and a label to ten of them."""
    rng, labels = np.random.default_rng(0), max(detections // 10, 1)
    right = np.arange(detections) < labels // 2
    score = np.where(right, rng.beta(4, 2, detections), rng.beta(1, 8, detections)).astype(np.float32)
    label_score = np.full(labels, -1, dtype=np.float32)
    label_score[: int(right.sum())] = score[right]
    kind, label_class = rng.integers(0, 2, detections), rng.integers(0, 2, labels)
    true = np.where(right, kind, -1).astype(np.int16)
    areas = [rng.lognormal(7, 1, count).astype(np.float32) for count in (detections, labels)]
    frames = [rng.integers(0, labels, count).astype(np.int32) for count in (detections, labels)]
    matches = Matches(
        score, kind.astype(np.int16), right, true, areas[0], frames[0],
        label_class.astype(np.int16), areas[1], frames[1], label_score, label_score,
    )  # fmt: skip
    folder.mkdir()
    matches.save(folder / MATCHES, {"captions": np.array([], dtype=np.str_)})
    counts = {name: int((label_class == at).sum()) for at, name in enumerate(CLASSES)}
    figures = dict.fromkeys(METRICS, 0.3)
    write_json(folder / FIGURES, {"figures": figures, "labels": counts, "classes": list(CLASSES), "score": "class"})


def seconds_to_open(page: Path, browser: str, scratch: Path) -> float:
    """Seconds from the start of a browser without a window to the picture of a page; the least of three."""
    options = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--no-sandbox", "--disable-dev-shm-usage"]  # what containers lack; the pages are ours
    options += [f"--user-data-dir={scratch}", f"--screenshot={scratch}.png", "--window-size=1400,3000", page.as_uri()]
    found = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([browser, *options], capture_output=True, timeout=300, check=True)
        found.append(time.monotonic() - began)
    return min(found)


def _find(browser: str) -> str:
    found = shutil.which(browser)
    if found is None:
        raise UserError(
            expected="a Chromium or Chrome",
            got=f"no program {browser}",
            where="--browser",
            fix="install it, or give its path",
        )
    return found


def run(args: argparse.Namespace) -> str:
    """Markdown with a row for each report."""
    browser = None if args.browser is None else _find(args.browser)
    with tempfile.TemporaryDirectory() as scratch:
        training, evaluation = Path(scratch, "training"), Path(scratch, "evaluation")
        rows = write_logs(training, args.steps, args.every)
        write_evaluation(evaluation, args.detections)
        told = {
            training: f"training, {args.steps} steps, {rows} rows of log",
            evaluation: f"{args.detections} detections",
        }
        write_report(evaluation)  # what is imported and compiled once does not count
        cells = []
        for folder, name in told.items():
            began, before = time.process_time(), time.monotonic()
            page = write_report(folder)
            spent, waited = time.process_time() - began, time.monotonic() - before
            sizes = [(folder / file).stat().st_size / 2**20 for file in (page.name, "results.png")]
            cells.append([name, f"{spent:.1f}", f"{waited:.1f}", *(f"{size:.2f}" for size in sizes)])
            if browser is not None:
                cells[-1].append(f"{seconds_to_open(page.resolve(), browser, Path(scratch, 'browser')):.1f}")
        if browser is not None:
            empty = Path(scratch, "empty.html")
            write_text(empty, "<!doctype html><title>empty</title>")
            cells.append(
                ["an empty page", *4 * [""], f"{seconds_to_open(empty, browser, Path(scratch, 'browser')):.1f}"]
            )
    heads = ("report of", "processor s", "s", "report.html, MiB", "results.png, MiB")
    return "\n".join(["## Reports", "", *table((*heads, *(["opens in s"] if browser is not None else [])), cells)])


def main() -> None:
    """Measure and print."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--steps", type=int, default=400_000, help="of the training (default: 400000)")
    parser.add_argument("--every", type=int, default=100, help="steps between two rows of losses (default: 100)")
    parser.add_argument("--detections", type=int, default=1_000_000, help="of the evaluation (default: 1000000)")
    parser.add_argument("--browser", help="a Chromium in which the pages are opened, too, e.g. chromium")
    command.main("reports", parser, run, steps=1, every=1, detections=1)


if __name__ == "__main__":
    main()
