"""The report of a training: losses, learning rate, AP, speed and health over its steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from modules.checkpoints.names import CHANGES, DONE, PICTURES
from modules.reports.frames import jpeg
from modules.reports.log_columns import Columns, read_columns
from modules.reports.page import Block, Picture, Section, Table, mapping_table, value_text
from utils.evaluation.coco import METRICS
from utils.json_files import read_json
from utils.pictures.plots import Plot, curves

LOGS = Path("logs", "version_0")
_NO_CSV = "No CSV log in this folder: the figures went to another logger (logging.logger), or the run has not begun."


_OF_VALIDATION = re.compile(r"val_(\d+)_\d+\.png")

_AFTER_THE_STEP = ("health/h_", "health/c_")
"""Columns of the log that hold the number of steps made; the others count from 0, as Lightning does."""


def read_logs(folder: Path) -> Columns:
    """Everything that a training logged, speeds too, by the number of steps made, which is what commands print."""
    logged = {
        name: (steps if name.startswith(_AFTER_THE_STEP) else steps + 1, values)
        for name, (steps, values) in read_columns(folder / LOGS / "metrics.csv").items()
    }
    return {**logged, **read_columns(folder / LOGS / "perf.csv")}


def read_done(path: Path) -> dict[str, Any]:
    """Steps and figures that a finished run has left.

    Raises:
        UserError: the file is damaged.
    """
    expected, fix = "what a finished run wrote: steps and figures", "remove it; the same training writes it again"
    return read_json(path, {"steps": int}, expected=expected, fix=fix)


def training_sections(folder: Path, classes: Sequence[str]) -> list[Section]:
    """What a training's folder tells beside its settings.

    Args:
        folder: of the run.
        classes: names of the classes.
    """
    logs = read_logs(folder)
    sections = [Section("Result", _result(folder, logs))]
    if not logs:
        return [*sections, Section("Curves", [_NO_CSV])]
    more = [*_curves(logs, classes), Section("Pictures of the last validation", _pictures(folder / PICTURES))]
    return [*sections, *(section for section in more if section.blocks)]


def _result(folder: Path, logs: Columns) -> list[Block]:
    blocks: list[Block] = []
    done = folder / DONE
    if done.is_file():
        told = read_done(done)
        figures = {name: value for name, value in told.items() if isinstance(value, float)}
        shares = {name: f"{100 * value:.2f} %" if is_share(name) else f"{value:.4g}" for name, value in figures.items()}
        blocks.append(mapping_table({**told, **shares}, ("figure", "value")))
    else:
        blocks.append("This run has not ended.")
    best = logs.get("val/AP")
    if best is not None:
        at = int(best[1].argmax())
        blocks.append(f"Best quick AP {100 * best[1][at]:.2f} % at step {best[0][at]:.0f}.")
    if (folder / CHANGES).is_file():
        kind = [{"from_step": int, "changed": {...: list}}]
        changes = read_json(folder / CHANGES, kind, expected="settings of a run that changed", fix="move the file away")
        rows = [
            (e["from_step"], key, value_text(was), value_text(now))
            for e in changes
            for key, (was, now) in e["changed"].items()
        ]
        blocks.append(Table(("from step", "setting", "was", "is"), rows))
    return blocks


def _pictures(folder: Path) -> list[Block]:
    """Pictures of the last validation that drew any."""
    files = {file: named for file in sorted(folder.glob("val_*")) if (named := _OF_VALIDATION.fullmatch(file.name))}
    step = max((int(named[1]) for named in files.values()), default=0)
    found = [(file.name, cv2.imread(str(file))) for file, named in files.items() if int(named[1]) == step]
    shown = [
        Picture(jpeg(np.asarray(image)).tobytes(), f"{folder.name}/{name}")
        for name, image in found
        if image is not None
    ]
    return [f"After step {step}. Whole boxes: detections; dashed: labels.", *shown] if shown else []


def _curves(logs: Columns, classes: Sequence[str]) -> list[Section]:
    def plot(title: str, ylabel: str, chosen: Callable[[str], str | None], scale: float = 1, **more: Any) -> list[Plot]:
        # −1 says that there is no label of that size
        named = {chosen(name): (x, scale * np.where(y < 0, np.nan, y)) for name, (x, y) in ordered.items()}
        series = {name: xy for name, xy in named.items() if name is not None}
        return [curves(title, series, "optimiser step", ylabel, **more)] if series else []

    ap = {"val/AP": "all"} | {f"val/AP_{name}": name for name in classes}
    ap_50 = {"val/AP_50": "all"} | {f"val/AP_50_{name}": name for name in classes}
    sizes = {f"val/{metric}": metric for metric in METRICS}
    ordered = {**{name: logs[name] for name in (*ap, *ap_50, *sizes) if name in logs}, **logs}  # the log goes by names
    return [
        Section("Loss", plot("loss and its parts", "loss", _loss) + plot("targets of a batch", "count", _count)),
        Section("Learning rate", plot("learning rate", "rate", _rate)),
        Section(
            "Validation",
            plot("AP by class", "per cent", ap.get, 100)
            + plot("AP_50 by class", "per cent", ap_50.get, 100)
            + plot("AP by overlap and size", "per cent", sizes.get, 100)
            + plot("PSNR", "dB", _ending("val/PSNR", ""))
            + plot("SSIM", "", _ending("val/SSIM", "")),
        ),
        Section(
            "Throughput",
            plot("frames a second", "frames/s", lambda n: "" if n == "perf/frames_per_s" else None)
            + plot("share of time waiting for data", "per cent", lambda n: "" if n == "perf/data_wait" else None, 100),
        ),
        Section(
            "Health",
            plot("gradients, largest", "largest value", _ending("health/grad_", "_max"), logarithmic=True)
            + plot("gradients, mean", "mean of values", _ending("health/grad_", "_mean"), logarithmic=True)
            + plot("cell states, largest", "largest value", _ending("health/c_", "_max"), logarithmic=True)
            + plot("hidden states, mean", "mean of values", _ending("health/h_", "_mean"), logarithmic=True),
        ),
    ]


def is_share(name: str) -> bool:
    """Whether a figure of a finished run is a share of 1, which is told in per cent."""
    return name.split("/")[-1] in METRICS


def _loss(name: str) -> str | None:
    """What a logged loss is called in the legend; nothing for what is no loss.

    >>> _loss("train/iou_loss"), _loss("train/loss_ce"), _loss("train/num_fg")
    ('iou_loss', 'loss_ce', None)
    """
    return name.removeprefix("train/") if name.startswith("train/") and "loss" in name else None


def _rate(name: str) -> str | None:
    """What a logged learning rate is called in the legend: the group of weights, or the optimiser of all of them.

    >>> _rate("lr-AdamW/backbone"), _rate("lr-AdamW"), _rate("train/loss")
    ('backbone', 'AdamW', None)
    """
    return name.removeprefix("lr-").split("/")[-1] if name.startswith("lr-") else None


def _count(name: str) -> str | None:
    return name.removeprefix("train/") if name.startswith("train/num_") else None


def _ending(start: str, end: str) -> Callable[[str], str | None]:
    return lambda name: name[len(start) : -len(end)] if name.startswith(start) and name.endswith(end) else None
