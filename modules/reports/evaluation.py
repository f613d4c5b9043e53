"""The report of an evaluation: what is kept of it, and its sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modules.reports.frames import Frames, draw_frames
from modules.reports.matches import FILE as MATCHES
from modules.reports.matches import IOU, Matches, counted_boxes, load_matches, match_boxes
from modules.reports.page import Block, Picture, Section, Table, mapping_table
from modules.reports.rates import calibration, confusion, rates, size_rows
from modules.reports.stillness import seconds_without_events, stillness_rows
from utils.atomic import write_json
from utils.evaluation.coco import METRICS
from utils.evaluation.intervals import LEVEL, interval_line
from utils.json_files import read_json
from utils.pictures.plots import Plot, Values, bars, curves, matrix, steps

FIGURES = "evaluation.json"
_EDGES = np.linspace(0, 1, 41)
_NONE = "No frame with a label that counts was evaluated, so there are no curves."


def keep_evaluation(
    folder: Path, result: Mapping[str, Any], frames: Frames, evaluator: Any, dataset: Mapping[str, Any]
) -> None:
    """Keep figures, matches, and pictures of the best and worst frames in the folder of an evaluation.

    Args:
        folder: of the evaluation.
        result: checkpoint, split, labels and figures.
        frames: that were evaluated.
        evaluator: whose filters and score hold.
        dataset: section of the config.
    """
    write_json(folder / FIGURES, {**result, "classes": list(dataset["classes"]), "score": evaluator.score})
    if not frames:
        return
    counted = counted_boxes([boxes for _, boxes in frames], evaluator)
    matches = match_boxes(counted, len(evaluator.classes))
    boxes = np.concatenate([counted.labels, counted.detections])
    frame = np.concatenate([counted.label_frame, counted.frame])
    still = seconds_without_events(boxes, frame, frames, dataset)
    pictures: dict[str, Any] = {}
    threshold = _threshold(matches)
    if threshold is not None:
        pictures = draw_frames(frames, matches, threshold, dataset, evaluator.score)
    captions = np.array(list(pictures), dtype=np.str_)
    numbered = {f"picture_{at}": data for at, data in enumerate(pictures.values())}
    matches.save(folder / MATCHES, {"captions": captions, "still": still, **numbered})


def keep_figures(folder: Path, result: Mapping[str, Any]) -> None:
    """Keep figures alone, where there are neither classes nor matches."""
    write_json(folder / FIGURES, {**result, "classes": [], "score": next(iter(result["figures"]))})


def read_figures(folder: Path) -> dict[str, Any]:
    """What ``keep_evaluation`` has left: result, classes and score.

    Raises:
        UserError: it is damaged.
    """
    intervals = {"recordings": int, "resamples": int, "figures": {...: [float]}}
    kind = {"figures": {...: float}, "labels": {...: int}, "classes": [str], "score": str, "intervals?": intervals}
    return read_json(folder / FIGURES, kind, expected="figures of an evaluation", fix="evaluate again")


def evaluation_sections(folder: Path) -> list[Section]:
    """What the folder of an evaluation tells."""
    result = read_figures(folder)
    classes, figures = result["classes"], result["figures"]
    if not classes:
        return [Section("Figures", [mapping_table(figures, ("figure", "value"))])]
    sections = [Section("Average precision", _figures(figures, classes, result))]
    if not (folder / MATCHES).is_file():
        return [*sections, Section("Curves", [_NONE])]
    matches, more = load_matches(folder / MATCHES)
    threshold = _threshold(matches)
    sections += [Section("Precision and recall", _rates(matches, classes, result["score"], threshold))]
    if threshold is not None:
        sections += [
            Section("Confusion", [_confusion(matches, classes, threshold)]),
            Section("Scores", _scores(matches.score, matches.right, threshold)),
            Section("Sizes", [_sizes(matches, threshold)]),
        ]
        if "still" in more:
            sections.append(Section("Objects that stop", _stillness(matches, more["still"], threshold)))
    pictures = [Picture(more[f"picture_{at}"].tobytes(), str(text)) for at, text in enumerate(more["captions"])]
    if pictures:
        said = f"Whole boxes: detections from score {threshold:.3g} on; dashed: labels."
        return [*sections, Section("Best and worst frames", [said, *pictures])]
    return sections


def shown_metrics(figures: Mapping[str, float], name: str = "") -> list[float | None]:
    """The six figures of a class in per cent, None where there is none."""
    values = (figures.get(f"{metric}_{name}" if name else metric) for metric in METRICS)
    return [None if value is None or value < 0 else round(100 * value, 2) for value in values]


def _figures(figures: Mapping[str, float], classes: Sequence[str], result: Mapping[str, Any]) -> list[Block]:
    rows = [("all", sum(result["labels"].values()), *shown_metrics(figures))]
    rows += [(name, result["labels"].get(name, 0), *shown_metrics(figures, name)) for name in classes]
    names = ["all", *classes]
    heights = {metric: [max(100 * figures.get(m, 0.0), 0.0) for m in _keys(metric, classes)] for metric in METRICS[:2]}
    others = {
        "ranked by objectness x class": "product_",
        "ranked by class confidence": "class_",
        "all labelled frames count": "strict_",
    }
    more = [(text, *shown_metrics(figures, "")[:0], *_pair(figures, mark)) for text, mark in others.items()]
    return [
        Table(("class", "labels", *METRICS), rows),
        bars("AP by class, per cent", names, heights, "per cent"),
        Table(("figures of other rules", "AP", "AP_50"), [row for row in more if row[1] is not None]),
        *(_intervals(result["intervals"], figures) if "intervals" in result else ()),
    ]


def _intervals(told: Mapping[str, Any], figures: Mapping[str, float]) -> list[Block]:
    rows = [
        (name, *(round(100 * value, 2) for value in (figures[name], *ends)))
        for name, ends in told["figures"].items()
        if name in figures and len(ends) == 2
    ]
    table = Table(("figure", "per cent", f"{LEVEL} %: from", "to"), rows)
    return [f"How sure? {interval_line(told, figures)}.", *([table] if rows else [])]


def _keys(metric: str, classes: Sequence[str]) -> list[str]:
    return [metric, *(f"{metric}_{name}" for name in classes)]


def _pair(figures: Mapping[str, float], mark: str) -> list[float | None]:
    return shown_metrics({key.removeprefix(mark): value for key, value in figures.items() if key.startswith(mark)})[:2]


def _threshold(matches: Matches) -> float | None:
    """Score with the largest F1 over all classes, None without a detection that is right."""
    found = rates(matches)
    best = found.best()
    return None if best is None or found.f1[best] <= 0 else float(found.threshold[best])


def _rates(matches: Matches, classes: Sequence[str], score: str, threshold: float | None) -> list[Block]:
    found = {name: rates(matches, class_id) for class_id, name in enumerate(classes)}
    found = {"all": rates(matches), **found} if len(classes) > 1 else found
    rows: list[Sequence[object]] = []
    best: dict[str, tuple[float, float]] = {}
    for name, each in found.items():
        at = each.best()
        if at is not None:
            row = (each.threshold[at], each.precision[at], each.recall[at], each.f1[at])
            rows.append((name, round(float(row[0]), 4), *(round(100 * float(value), 1) for value in row[1:])))
            best[name] = (float(row[0]), float(row[3]))
    said = {name: f"{name}, best at {best[name][0]:.3g}" if name in best else name for name in found}
    by_score: dict[str, tuple[Values, Values]] = {said[n]: (e.threshold[::-1], e.f1[::-1]) for n, e in found.items()}
    by_recall: dict[str, tuple[Values, Values]] = {n: (e.recall, e.precision) for n, e in found.items()}
    ranked = "class confidence" if score == "class" else "objectness x class confidence"
    return [
        f"At IoU {IOU:g}, one detection to one label, ranked by {ranked}.",
        curves("precision over recall", by_recall, "recall", "precision", unit_square=True),
        curves(
            "F1 over threshold, best ones marked", by_score, ranked, "F1", unit_square=True, marks=list(best.values())
        ),
        Table(("class", "best threshold", "precision, %", "recall, %", "F1, %"), rows),
    ]


def _confusion(matches: Matches, classes: Sequence[str], threshold: float) -> Plot:
    names = [*classes, "background"]
    counts = confusion(matches, len(classes), threshold)
    return matrix(
        f"labels and detections from score {threshold:.3g} on", names, names, counts, ("label", "detected as")
    )


def _scores(score: Any, right: Any, threshold: float) -> list[Block]:
    counts = {
        "right": np.histogram(score[right], _EDGES)[0].astype(float),
        "wrong": np.histogram(score[~right], _EDGES)[0].astype(float),
    }
    mean, share, _ = calibration(score, right)
    even = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    return [
        steps(f"scores of detections; best threshold {threshold:.3g}", _EDGES, counts, "score", logarithmic=True),
        calibration_plot({"detections": (mean, share), "as said": even}),
    ]


def calibration_plot(series: Mapping[str, tuple[Values, Values]]) -> Plot:
    """Share of right boxes over their score."""
    return curves("share of right boxes over their score", series, "mean score", "share right", unit_square=True)


def _stillness(matches: Matches, still: Any, threshold: float) -> list[Block]:
    labels, detections = np.split(still, [len(matches.label_class)])
    rows = [
        (name, count, *(None if value is None else round(value, 1) for value in values))
        for name, count, *values in stillness_rows(matches, labels, detections, threshold)
    ]
    read = int(np.isfinite(labels).sum())
    share = "" if read == len(labels) else f" Of {len(labels)} labels {read} were looked at."
    return [
        f"By the last frame in which a tenth of the box's pixels, where it is now, had events.{share}",
        Table(("last events", "labels", "AP_50, classes as one, %", "recall, %"), rows),
    ]


def _sizes(matches: Matches, threshold: float) -> Table:
    rows = [
        (name, labels, *(None if value is None else round(value, 1) for value in values))
        for name, labels, *values in size_rows(matches, threshold)
    ]
    return Table(("size", "labels", "recall, %", "precision, %"), rows)
