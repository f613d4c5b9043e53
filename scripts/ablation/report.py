"""Figures of an ablation as data, as Markdown and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scripts.ablation.steps import ARMS, Part
from utils.atomic import atomic_path

_REFERENCE = {"round2": ("control2", "oracle2"), "oracle2": ("control2", "oracle2")}
_NO_SHARE = ("baseline", "control", "control2", "oracle", "oracle2")
_METRICS = ("AP", "AP_50", "product_AP")


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def collect(parts: Sequence[Part], splits: Sequence[str]) -> dict[str, Any]:
    """Read what the steps left behind.

    Returns:
        by supervision: ``arms`` (meaning, steps, and AP, AP_50 and product_AP of each split as lists over seeds),
        ``labels`` (precision, recall and F1 at IoU 0.5 as lists over seeds) and ``curve`` (AP on val by steps, over
        seeds).
    """
    found: dict[str, Any] = {}
    for part in parts:
        own = found.setdefault(part.supervision.name, {"arms": {}, "labels": {}, "curve": {}})
        for name in (name for name in ARMS if name in part.arms):
            arm, files = part.arms[name]
            row = own["arms"].setdefault(name, {"meaning": arm.meaning, "steps": arm.steps})
            for split in splits:
                figures = _load(files[split])["figures"]
                for metric in _METRICS:
                    row.setdefault(split, {}).setdefault(metric, []).append(figures[metric])
        for name, path in part.qualities.items():
            rates = _load(path)["one_to_one"]["all"]
            for rate in ("precision_50", "recall_50", "f1_50"):
                own["labels"].setdefault(name, {}).setdefault(rate, []).append(rates[rate])
        for steps, path in sorted(part.curve.items()):
            own["curve"].setdefault(str(steps), []).append(_load(path)["figures"]["AP"])
    return found


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and sample standard deviation in per cent, from values as shares.

    >>> spread([0.1, 0.2]), spread([0.125])
    ('15.0 ± 7.1', '12.5')
    """
    scaled = [100 * value for value in values]
    middle = f"{mean(scaled):.{digits}f}"
    return f"{middle} ± {stdev(scaled):.{digits}f}" if len(scaled) > 1 else middle


def differences(arms: Mapping[str, Any], name: str, split: str, metric: str = "AP") -> list[float] | None:
    """A figure minus that of the control with as many steps, seed by seed; None without one."""
    control, _ = _REFERENCE.get(name, ("control", "oracle"))
    if control not in arms or name in ("baseline", control):
        return None
    return [a - b for a, b in zip(arms[name][split][metric], arms[control][split][metric], strict=True)]


def shares(arms: Mapping[str, Any], name: str, split: str, metric: str = "AP") -> list[float] | None:
    """Share of the gap from control to oracle that an arm closes, seed by seed.

    The gap is that of the means, so that a seed in which it happens to vanish does not decide; the mean of the values
    is the share which the means close.

    Returns:
        None for controls and oracles, without either of them, or when the oracle is not above its control.
    """
    control, oracle = _REFERENCE.get(name, ("control", "oracle"))
    gained = differences(arms, name, split, metric)
    if gained is None or name in _NO_SHARE or oracle not in arms:
        return None
    gap = mean(arms[oracle][split][metric]) - mean(arms[control][split][metric])
    return [value / gap for value in gained] if gap > 0 else None


def markdown(results: Mapping[str, Any]) -> str:
    """Tables for a page, with the command that makes them.

    Args:
        results: ``command``, ``seeds``, ``splits`` and ``supervisions`` as of ``collect``.
    """
    seeds = ", ".join(str(seed) for seed in results["seeds"])
    lines = [f"Seeds {seeds}; mean ± standard deviation over them, in per cent.", ""]
    for supervision, found in results["supervisions"].items():
        for split in results["splits"]:
            lines += [f"{supervision.replace('_', ', share ')}, {split}:", "", *_arm_table(found["arms"], split), ""]
        if found["labels"]:
            lines += ["Pseudo labels against the hidden labels (IoU 0.5, one box to one label):", ""]
            lines += ["| labels | precision | recall | F1 |", "|---|---|---|---|"]
            for name, rates in found["labels"].items():
                lines.append(f"| {name} | {' | '.join(spread(values) for values in rates.values())} |")
            lines.append("")
        if found["curve"]:
            lines += ["The baseline by its number of steps, val:", "", "| steps | AP |", "|---|---|"]
            lines += [f"| {steps} | {spread(values)} |" for steps, values in found["curve"].items()] + [""]
    return "\n".join([*lines, "```bash", results["command"], "```", ""])


def _arm_table(arms: Mapping[str, Any], split: str) -> list[str]:
    lines = [
        "| arm | trained on | steps | AP | AP_50 | AP against control | gap closed | product_AP | against control "
        "| gap closed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in arms.items():
        figures = {metric: spread(row[split][metric]) for metric in _METRICS}
        gains = {metric: _gain_cells(arms, name, split, metric) for metric in ("AP", "product_AP")}
        cells = [figures["AP"], figures["AP_50"], *gains["AP"], figures["product_AP"], *gains["product_AP"]]
        lines.append(f"| {name} | {row['meaning']} | {row['steps']} | {' | '.join(cells)} |")
    return lines


def _gain_cells(arms: Mapping[str, Any], name: str, split: str, metric: str) -> list[str]:
    gained, share = differences(arms, name, split, metric), shares(arms, name, split, metric)
    return ["" if gained is None else spread(gained), "" if share is None else f"{spread(share, 0)} %"]


def save_picture(results: Mapping[str, Any], path: Path | str) -> None:
    """Draw AP of every arm, a point a seed, beside control and oracle; and the baseline's curve if there is one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found, split = results["supervisions"], results["splits"][-1]
    figure = Figure(figsize=(6 * len(found), 8 if _has_curve(found) else 4.5), layout="constrained")
    rows: Any = figure.subplots(1 + _has_curve(found), len(found), squeeze=False, sharey="row")
    for axis, (name, own) in zip(rows[0], found.items(), strict=True):
        _draw_arms(axis, own["arms"], split)
        axis.set(title=f"{name.replace('_', ', share ')} ({split})", ylabel="AP, per cent")
    for axis, own in zip(rows[-1] if _has_curve(found) else [], found.values(), strict=False):
        steps = [int(count) for count in own["curve"]]
        for seed, values in enumerate(zip(*own["curve"].values(), strict=True)):
            axis.plot(steps, [100 * value for value in values], "o-", alpha=0.6, label=f"seed {results['seeds'][seed]}")
        axis.set(xlabel="steps of the baseline", ylabel="AP on val, per cent")
        axis.grid(alpha=0.3)
        axis.legend()
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))


def _has_curve(found: Mapping[str, Any]) -> bool:
    return any(own["curve"] for own in found.values())


def _draw_arms(axis: Any, arms: Mapping[str, Any], split: str) -> None:
    for place, row in enumerate(arms.values()):
        values = [100 * value for value in row[split]["AP"]]
        axis.bar(place, mean(values), 0.7, color="C0", alpha=0.4)
        axis.plot([place] * len(values), values, "k.", markersize=5)
    for name, color in (("control", "C1"), ("oracle", "C2")):
        if name in arms:
            axis.axhline(100 * mean(arms[name][split]["AP"]), color=color, linestyle="--", label=name)
            axis.legend(fontsize=8)
    axis.set_xticks(range(len(arms)), list(arms), rotation=35, ha="right")
    axis.grid(axis="y", alpha=0.3)
