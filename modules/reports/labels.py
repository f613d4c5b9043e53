"""Reports of labelling, of the quality of pseudo labels, and of rounds of self-training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modules.reports.evaluation import calibration_plot, shown_metrics
from modules.reports.matches import IOU
from modules.reports.page import Block, Link, Section, Table, mapping_table
from modules.reports.rates import calibration
from utils.arrays import load_npz
from utils.atomic import atomic_path, write_json
from utils.evaluation.coco import METRICS
from utils.json_files import Kind, read_json
from utils.pictures.plots import bars, steps

QUALITY, BOXES, SUMMARY = "label_quality.json", "boxes.npz", "summary.json"

_EDGES = np.linspace(0, 1, 41)
_RATES = ("precision", "recall", "f1")


_ROW = {"labels": object, "boxes": object, **{f"{rate}_{iou}": float for rate in _RATES for iou in (25, 50, 75)}}
_OF_LABELS = {
    **dict.fromkeys(("boxes", "labels", "frames"), object),
    "one_to_one": {"all": _ROW, ...: _ROW},
    "steps?": {...: {"one_to_one": {"all": _ROW}}},
}


def keep_quality(folder: Path, report: Any) -> None:
    """Keep the figures of a ``QualityReport``, and scores and overlap of its boxes."""
    write_json(folder / QUALITY, {"classes": list(report.classes), **report.figures})
    with atomic_path(folder / BOXES) as temporary, temporary.open("wb") as handle:
        names = ("objectness", "class_confidence", "best_iou")
        np.savez_compressed(handle, **{name: getattr(report, name).astype(np.float32) for name in names})


def quality_sections(folder: Path) -> list[Section]:
    """How good pseudo labels are."""
    figures = read_quality(folder)
    sections = [*_quality(figures), Section("Prophesee protocol", [_protocol(figures)])]
    if (folder / BOXES).is_file():
        boxes = load_npz(folder / BOXES, "objectness", "class_confidence", "best_iou", fix="run the command again")
        right = boxes["best_iou"] >= IOU
        if len(right):
            sections.append(Section("Scores", _scores(boxes, right)))
    return sections


def _quality(figures: Mapping[str, Any]) -> list[Section]:
    rows = figures["one_to_one"]
    heights = {rate: [100 * row[f"{rate}_50"] for row in rows.values()] for rate in _RATES}
    counts = [f"{figures[name]} {word}" for name, word in (("boxes", "pseudo boxes"), ("labels", "hidden labels"))]
    sections = [
        Section(
            "Pseudo labels against the hidden labels",
            [
                f"{counts[0]} on {figures['frames']} frames with {counts[1]}.",
                Table(
                    _heads("class"), [(name, row["labels"], row["boxes"], *_cells(row)) for name, row in rows.items()]
                ),
                bars("IoU 0.5, one box to one label", list(rows), heights, "per cent"),
            ],
        )
    ]
    if figures.get("steps"):
        found = {name: each["one_to_one"]["all"] for name, each in figures["steps"].items()}
        heights = {rate: [100 * row[f"{rate}_50"] for row in found.values()] for rate in _RATES}
        table = Table(
            _heads("after"), [(name, row["labels"], row["boxes"], *_cells(row)) for name, row in found.items()]
        )
        sections.append(
            Section("Steps of labelling", [bars("after each step, IoU 0.5", list(found), heights, "per cent"), table])
        )
    return sections


def _heads(first: str) -> Sequence[str]:
    return (first, "labels", "boxes", *(f"{rate}, IoU {iou}" for iou in ("0.25", "0.5", "0.75") for rate in _RATES))


def _cells(row: Mapping[str, float]) -> list[float]:
    return [round(100 * row[f"{rate}_{iou}"], 1) for iou in (25, 50, 75) for rate in _RATES]


def _protocol(figures: Mapping[str, Any]) -> Table:
    names = ["", *figures["classes"]]
    return Table(("class", *METRICS), [(name or "all", *shown_metrics(figures["prophesee"], name)) for name in names])


def _scores(boxes: Mapping[str, Any], right: Any) -> list[Block]:
    even = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    names = ("objectness", "class_confidence")
    counts = {
        f"{name.replace('_', ' ')}, {word}": np.histogram(boxes[name][own], _EDGES)[0].astype(float)
        for name in names
        for word, own in (("right", right), ("wrong", ~right))
    }
    lines = {name.replace("_", " "): calibration(boxes[name], right)[:2] for name in names}
    return [
        "A box is right here if it overlaps a hidden label of its class by half.",
        steps("scores of pseudo boxes", _EDGES, counts, "score", logarithmic=True),
        calibration_plot({**lines, "as said": even}),
    ]


def labelling_sections(folder: Path) -> list[Section]:
    """What labelling wrote."""
    counts = read(folder / SUMMARY)
    numbers = {name: value for name, value in counts.items() if isinstance(value, int) and value}
    boxes = {_words(name): value for name, value in numbers.items() if name not in ("sequences", "frames")}
    plot = bars("boxes of each kind", list(boxes), {"boxes": list(boxes.values())}, "boxes")
    shown = {_words(name): value if isinstance(value, int | float) else len(value) for name, value in counts.items()}
    return [Section("Labels written", [mapping_table(shown, ("what", "number")), *([plot] if boxes else [])])]


def _words(name: str) -> str:
    """What is counted, as it is said.

    >>> _words("pseudo_car"), _words("ignored_short_track")
    ('pseudo: car', 'ignored: short track')
    """
    kind, _, rest = name.partition("_")
    return f"{kind}: {rest.replace('_', ' ')}" if rest and kind in ("pseudo", "ignored") else name.replace("_", " ")


def rounds_sections(folder: Path) -> list[Section]:
    """What rounds of self-training brought: detectors, and the labels of each round before and after each step."""
    summary = read_rounds(folder)
    splits, arms = summary["splits"], summary["arms"]
    metrics = ("AP", "AP_50", "product_AP")
    rows = [
        (name, arm["meaning"], arm["steps"], *(_percent(arm[split].get(m)) for split in splits for m in metrics))
        for name, arm in arms.items()
    ]
    heads = ("detector", "trained on", "steps", *(f"{metric} {split}" for split in splits for metric in metrics))
    heights = {split: [100 * arm[split]["AP"] for arm in arms.values()] for split in splits}
    gains = [(name, *_gain(arms, name, splits)) for name in arms if name.startswith("round")]
    before = ("round", *(f"AP {split} {word}" for split in splits for word in ("before", "after", "gain")))
    blocks: list[Block] = [Table(heads, rows), bars("AP of the detectors", list(arms), heights, "per cent")]
    sections = [Section("Detectors", blocks)]
    if gains:
        sections.append(Section("Each round, before and after", [Table(before, gains)]))
    for name, quality in summary["pseudo_labels"].items():
        sections += [Section(f"{name}: {section.title}", section.blocks) for section in _quality(quality)]
    decisions: dict[str, Any] = summary.get("decisions", {})
    heads = ("precision_before", "precision")
    if decisions and all("why" in value for value in decisions.values()):
        table = Table(("round", "stopped", "why"), [(n, str(v["stop"]), v["why"]) for n, v in decisions.items()])
        sections.append(Section("Decisions", [table]))
    elif decisions:
        decided = [(n, str(v["stop"]), *(_percent(v.get(head)) for head in heads)) for n, v in decisions.items()]
        sections.append(Section("Decisions", [Table(("round", "stopped", "precision before", "precision"), decided)]))
    if summary.get("seconds"):
        sections.append(Section("Time", [mapping_table(summary["seconds"], ("step", "seconds"))]))
    pages = sorted(
        path.relative_to(folder) for at in ("*", "evaluation/*") for path in folder.glob(f"{at}/report.html")
    )
    links = [(Link(path.as_posix(), str(path.parent)),) for path in pages]
    return [*sections, Section("Reports of the steps", [Table(("report",), links)])] if links else sections


def _gain(arms: Mapping[str, Any], name: str, splits: Sequence[str]) -> list[float | None]:
    number = int(name.removeprefix("round"))
    teacher = "baseline" if number == 1 else f"round{number - 1}"
    pairs = [(arms[teacher][split]["AP"], arms[name][split]["AP"]) for split in splits] if teacher in arms else []
    return [_percent(value) for was, now in pairs for value in (was, now, now - was)]


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)


def read_quality(folder: Path) -> dict[str, Any]:
    """Figures that ``keep_quality`` has left.

    Raises:
        UserError: they are damaged.
    """
    return read(
        folder / QUALITY, {**_OF_LABELS, "classes": [str], "prophesee": {"AP": float, "AP_50": float, ...: float}}
    )


def read_rounds(folder: Path) -> dict[str, Any]:
    """The summary of rounds of self-training: each arm has figures of each split.

    Raises:
        UserError: it is damaged.
    """
    path = folder / SUMMARY
    kind = {"settings": dict, "splits": [str], "arms": {...: dict}, "pseudo_labels": {...: _OF_LABELS}}
    summary = read(path, kind)
    figures = {split: {"AP": float, "AP_50": float, "product_AP?": float} for split in summary["splits"]}
    return read(path, {**kind, "arms": {...: {"meaning": str, "steps": object, **figures}}})


def read(path: Path, kind: Kind = dict) -> dict[str, Any]:
    """A JSON object that a command has written.

    Raises:
        UserError: it is damaged, or of another kind, see ``utils.json_files``.
    """
    return read_json(path, kind, expected="what a command wrote", fix="run the command again")
