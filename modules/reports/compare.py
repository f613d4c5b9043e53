"""Several runs side by side: their figures, the settings in which they differ, and their curves on common axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.checkpoints.names import DONE
from modules.reports.evaluation import read_figures
from modules.reports.labels import SUMMARY, read, read_quality, read_rounds
from modules.reports.log_columns import Columns
from modules.reports.matches import FILE as MATCHES
from modules.reports.matches import load_matches
from modules.reports.page import Section, Table, value_text
from modules.reports.rates import rates
from modules.reports.training import is_share, read_done, read_logs
from modules.reports.write import kind_of, used_settings
from utils.evaluation.coco import METRICS
from utils.evaluation.intervals import LEVEL, differences, why_no_differences
from utils.evaluation.recordings import FILE as RECORDINGS
from utils.evaluation.recordings import load_recordings
from utils.pictures.plots import Plot, Series, bars, curves

_EVERYWHERE = ("evaluation_val", "evaluation_test", "evaluation_val_best", "evaluation_test_best", "label_quality")
_PLACES = ("output.", "root", "save_dir", "save_json", "save_picture")

Figures = Mapping[str, Any]
"""Of a run, by name; shares are in per cent."""


def compare(folders: Sequence[Path]) -> list[Section]:
    """Compare runs of any kinds, also of several.

    Args:
        folders: of the runs, at least one.

    Raises:
        UserError: one is no run's folder, or a file in it is damaged.
    """
    kinds, names = [kind_of(folder) for folder in folders], names_of(folders)
    runs = dict(zip(names, folders, strict=True))
    of_kind = {
        kind: {name: runs[name] for name, own in zip(names, kinds, strict=True) if own == kind} for kind in kinds
    }
    logs = {name: read_logs(folder) for name, folder in of_kind.get("training", {}).items()}
    figures = {
        name: _FIGURES[kind](folder, logs.get(name, {}))
        for (name, folder), kind in zip(runs.items(), kinds, strict=True)
    }
    settings = {name: used_settings(folder) for name, folder in runs.items()}
    plots = [*_training(logs), *_evaluations(of_kind.get("evaluation", {})), *_rounds(of_kind.get("rounds", {}))]
    differing = differing_settings(settings)
    unknown = [name for name, own in settings.items() if not own]
    return [
        Section("Figures", [_side_by_side("figure", figures), *([] if plots else ["These runs have no curves."])]),
        *_differences(of_kind.get("evaluation", {})),
        Section(
            "Differing settings",
            [
                _side_by_side("setting", differing) if any(differing.values()) else "None.",
                *([f"Not known of {', '.join(unknown)}."] if unknown else []),
            ],
        ),
        *([Section("Curves", plots)] if plots else []),
    ]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Names of folders, with as many of the folders above as tell them apart; the same one twice gets a number.

    A folder that every run's evaluation has is never called by its own name alone.

    >>> names_of([Path("/a/b/run"), Path("/a/c/run"), Path("/a/c/run")])
    ['b/run', 'c/run', 'c/run (2)']
    >>> names_of([Path("/a/b"), Path("/a/c/evaluation_val")])
    ['b', 'c/evaluation_val']
    """
    whole = [folder.resolve() for folder in folders]
    different, depth = len(set(whole)), 1
    while len({path.parts[-depth:] for path in whole}) < different:
        depth += 1
    short = ["/".join(path.parts[-max(depth, 1 + (path.name in _EVERYWHERE)) :]) for path in whole]
    again = [short[:at].count(name) for at, name in enumerate(short)]
    return [f"{name} ({count + 1})" if count else name for name, count in zip(short, again, strict=True)]


def differing_settings(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Settings that are not the same in all runs that have them, by run.

    Where the files of a run are is no difference.
    """
    keys = dict.fromkeys(key for own in settings.values() for key in own if not key.startswith(_PLACES))
    told = {key: {value_text(own[key]) for own in settings.values() if key in own} for key in keys}
    differing = [key for key, values in told.items() if len(values) > 1]
    return {name: {key: value_text(own.get(key, "–")) for key in differing} for name, own in settings.items()}


def _side_by_side(head: str, values: Mapping[str, Mapping[str, Any]]) -> Table:
    keys = dict.fromkeys(key for own in values.values() for key in own)
    return Table((head, *values), [(key, *(own.get(key) for own in values.values())) for key in keys])


def _of_training(folder: Path, logs: Columns) -> Figures:
    done = folder / DONE
    told = read_done(done) if done.is_file() else {}
    found: dict[str, Any] = {"steps": told["steps"]} if told else {}
    found |= _no_shares({name: value for name, value in told.items() if isinstance(value, float)})
    if "val/AP" in logs:
        steps, values = logs["val/AP"]
        found |= {"best quick AP": _percent(values.max()), "at step": int(steps[values.argmax()])}
        found |= {"last quick AP": _percent(values[-1])}
    if "train/loss" in logs:
        found["last loss"] = round(float(logs["train/loss"][1][-1]), 4)
    if "perf/frames_per_s" in logs:
        found["frames/s, mean"] = round(float(logs["perf/frames_per_s"][1].mean()), 1)
    return found


def _no_shares(figures: Mapping[str, float]) -> Figures:
    """Figures of tasks whose figures are no shares."""
    return {name.split("/")[-1]: round(value, 4) for name, value in figures.items() if not is_share(name)}


def _of_evaluation(folder: Path, _: Columns) -> Figures:
    result = read_figures(folder)
    if not result["classes"]:
        return _no_shares(result["figures"])
    names = [f"{metric}{suffix}" for suffix in ("", *(f"_{n}" for n in result["classes"])) for metric in METRICS]
    known = {name: result["figures"].get(name, -1.0) for name in (*names, "product_AP", "class_AP", "strict_AP")}
    return {name: _percent(value) for name, value in known.items() if value >= 0}


def _of_rounds(folder: Path, _: Columns) -> Figures:
    summary = read_rounds(folder)
    pairs = [(split, metric) for split in summary["splits"] for metric in METRICS[:2]]
    arms = summary["arms"].items()
    return {f"{name}: {metric} {split}": _percent(arm[split][metric]) for name, arm in arms for split, metric in pairs}


def _of_quality(folder: Path, _: Columns) -> Figures:
    figures = read_quality(folder)
    rates_50 = {
        f"{rate}, IoU 0.5": figures["one_to_one"]["all"][f"{rate}_50"] for rate in ("precision", "recall", "f1")
    }
    found = {**rates_50, "AP": figures["prophesee"]["AP"], "AP_50": figures["prophesee"]["AP_50"]}
    return {"pseudo boxes": figures["boxes"], **{name: _percent(value) for name, value in found.items()}}


def _of_labelling(folder: Path, _: Columns) -> Figures:
    return {name: value for name, value in read(folder / SUMMARY).items() if isinstance(value, int)}


_FIGURES: Mapping[str, Callable[[Path, Columns], Figures]] = {
    "training": _of_training,
    "evaluation": _of_evaluation,
    "rounds": _of_rounds,
    "quality": _of_quality,
    "labelling": _of_labelling,
}


def _training(logs: Mapping[str, Columns]) -> list[Plot]:
    columns = dict.fromkeys(name for own in logs.values() for name in own)
    plots = []
    for name in columns:
        validation = name == "val/AP" or name.startswith(("val/AP_50", "val/AP_75"))
        if not (validation or name.endswith("loss") or name.startswith("lr-") or name == "perf/frames_per_s"):
            continue
        scale = 100 if validation else 1
        series = {run: (own[name][0], scale * own[name][1]) for run, own in logs.items() if name in own}
        unit = "per cent" if validation else name.rpartition("/")[2]
        plots.append(curves(name, series, "optimiser step", unit))
    return plots


def _evaluations(folders: Mapping[str, Path]) -> list[Plot]:
    if not folders:
        return []
    results = {name: read_figures(folder) for name, folder in folders.items()}
    classes = dict.fromkeys(each for result in results.values() for each in result["classes"])
    keys = ["AP", *(f"AP_{name}" for name in classes)]
    heights = {run: [max(100 * own["figures"].get(key, 0.0), 0.0) for key in keys] for run, own in results.items()}
    found = {
        run: rates(load_matches(folder / MATCHES)[0]) for run, folder in folders.items() if (folder / MATCHES).is_file()
    }
    by_recall: Series = {run: (each.recall, each.precision) for run, each in found.items()}
    by_score: Series = {run: (each.threshold[::-1], each.f1[::-1]) for run, each in found.items()}
    return [
        bars("AP by class", ["all", *classes], heights, "per cent"),
        curves("precision over recall, all classes, IoU 0.5", by_recall, "recall", "precision", unit_square=True),
        curves("F1 over threshold, all classes, IoU 0.5", by_score, "score", "F1", unit_square=True),
    ]


def _differences(folders: Mapping[str, Path]) -> list[Section]:
    """By how much others are better than the first of those that kept their recordings, and how sure that is."""
    known = {
        name: load_recordings(folder / RECORDINGS)
        for name, folder in folders.items()
        if "intervals" in read_figures(folder) and (folder / RECORDINGS).is_file()
    }
    rows: list[Sequence[object]] = []
    for name in list(known)[1:]:
        first = next(iter(known))
        pair, why = f"{name} − {first}", why_no_differences(known[first], known[name])
        found = {} if why is not None else differences(known[first], known[name])
        rows += [(pair, metric, *map(_percent, row)) for metric, row in found.items()]
        rows += [] if why is None else [(pair, why, None, None, None)]
    heads = ("evaluations", "figure", "difference, percentage points", f"{LEVEL} %: from", "to")
    if not rows:
        return []
    count = len(next(iter(known.values())).names)
    return [Section(f"Differences by resampling {count} recordings", [Table(heads, rows)])]


def _rounds(folders: Mapping[str, Path]) -> list[Plot]:
    summaries = {name: read_rounds(folder) for name, folder in folders.items()}
    arms = list(dict.fromkeys(arm for own in summaries.values() for arm in own["arms"]))
    splits = dict.fromkeys(split for own in summaries.values() for split in own["splits"])
    plots = []
    for split in splits:
        shown = {run: own["arms"] for run, own in summaries.items() if split in own["splits"]}
        heights = {
            run: [100 * own[arm][split]["AP"] if arm in own else 0.0 for arm in arms] for run, own in shown.items()
        }
        plots.append(bars(f"AP of the detectors on {split}", arms, heights, "per cent"))
    return plots


def _percent(value: float) -> float:
    return round(100 * float(value), 2)
