"""Figures of an ablation as data, as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from scripts.ablation.steps import ARMS, Part
from scripts.rounds.summary import RATES, load
from utils.pictures.charts import chart, name_bars
from utils.tables import spread, table

_REFERENCE: dict[str, tuple[str, str]] = dict.fromkeys(("round2", "agreement2", "oracle2"), ("control2", "oracle2"))
_NO_SHARE = ("baseline", "control", "control2", "oracle", "oracle2")
_METRICS = ("AP", "AP_50", "product_AP")


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
                figures = load(files[split])["figures"]
                for metric in _METRICS:
                    row.setdefault(split, {}).setdefault(metric, []).append(figures[metric])
        for name, path in part.qualities.items():
            rates = load(path)["one_to_one"]["all"]
            for rate in RATES:
                own["labels"].setdefault(name, {}).setdefault(rate, []).append(rates[rate])
        for steps, path in sorted(part.curve.items()):
            own["curve"].setdefault(str(steps), []).append(load(path)["figures"]["AP"])
    return found


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
            lines += [f"{_in_words(supervision)}, {split}:", "", *_arm_table(found["arms"], split), ""]
        if found["labels"]:
            rows = [(name, *map(spread, rates.values())) for name, rates in found["labels"].items()]
            lines += ["Pseudo labels against the hidden labels (IoU 0.5, one box to one label):", ""]
            lines += [*table(("labels", "precision", "recall", "F1"), rows), ""]
        if found["curve"]:
            rows = [(steps, spread(values)) for steps, values in found["curve"].items()]
            lines += ["The baseline by its number of steps, val:", "", *table(("steps", "AP"), rows), ""]
    return "\n".join([*lines, "```bash", results["command"], "```", ""])


def _in_words(supervision: str) -> str:
    kind, _, rest = supervision.partition("_")
    return f"labels of {rest}" if kind == "file" else f"{kind}, share {rest}"


def _arm_table(arms: Mapping[str, Any], split: str) -> list[str]:
    gains = ("against control", "gap closed")
    heads = ("arm", "trained on", "steps", "AP", "AP_50", f"AP {gains[0]}", gains[1], "product_AP", *gains)
    rows = []
    for name, row in arms.items():
        ap, ap_50, product = (spread(row[split][metric]) for metric in _METRICS)
        of_ap, of_product = (_gain_cells(arms, name, split, metric) for metric in ("AP", "product_AP"))
        rows.append((name, row["meaning"], row["steps"], ap, ap_50, *of_ap, product, *of_product))
    return table(heads, rows)


def _gain_cells(arms: Mapping[str, Any], name: str, split: str, metric: str) -> list[str]:
    gained, share = differences(arms, name, split, metric), shares(arms, name, split, metric)
    return ["" if gained is None else spread(gained), "" if share is None else f"{spread(share, 0)} %"]


def save_picture(results: Mapping[str, Any], path: Path | str) -> None:
    """Draw AP of every arm, a point a seed, beside control and oracle; and the baseline's curve if there is one."""
    found, split = results["supervisions"], results["splits"][-1]
    curved = any(own["curve"] for own in found.values())
    size = (6 * len(found), 8 if curved else 4.5)
    with chart(path, size, rows=1 + curved, columns=len(found), share_y="row") as axes:
        for column, (name, own) in enumerate(found.items()):
            _draw_arms(axes[0, column], own["arms"], split)
            axes[0, column].set(title=f"{_in_words(name)} ({split})", ylabel="AP, per cent")
            if curved:
                _draw_curve(axes[1, column], own["curve"], results["seeds"])


def _draw_arms(axis: Any, arms: Mapping[str, Any], split: str) -> None:
    for place, row in enumerate(arms.values()):
        values = [100 * value for value in row[split]["AP"]]
        axis.bar(place, mean(values), 0.7, color="C0", alpha=0.4)
        axis.plot([place] * len(values), values, "k.", markersize=5)
    for name, color in (("control", "C1"), ("oracle", "C2")):
        if name in arms:
            axis.axhline(100 * mean(arms[name][split]["AP"]), color=color, linestyle="--", label=name)
            axis.legend()
    name_bars(axis, list(arms))


def _draw_curve(axis: Any, curve: Mapping[str, Sequence[float]], seeds: Sequence[int]) -> None:
    for seed, *values in zip(seeds, *curve.values(), strict=True):
        axis.plot([int(steps) for steps in curve], [100 * value for value in values], "o-", label=f"seed {seed}")
    axis.set(xlabel="steps of the baseline", ylabel="AP on val, per cent")
    axis.legend()
