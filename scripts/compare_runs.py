"""Runs side by side, of any kinds: figures, differing settings, curves: ``python scripts/compare_runs.py --help``.

Self-training experiments that differ by seed alone get tables with mean and spread over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.rounds.summary import quality_rows
from utils.atomic import refuse_taken, write_text
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.tables import spread, table

Summary = dict[str, Any]
_TITLE = "Runs side by side"
_MARK = "<!-- compare_runs.py -->\n\n"
"""Begins a file of tables, so that no other file is written over."""


def load(roots: Sequence[Path]) -> list[Summary]:
    """Read ``summary.json`` of every experiment.

    Raises:
        UserError: one is missing, or the experiments differ in more than their seed.
    """
    from modules.reports.labels import read_rounds

    summaries: list[Summary] = []
    for root in roots:
        path = root / "summary.json"
        if not path.is_file():
            raise UserError(
                expected="a finished experiment of scripts/self_train.py",
                got="no summary.json",
                where=str(root),
                fix="give the root folder of the experiment, after it has ended",
            )
        summaries.append(read_rounds(root))
    differing = differing_keys(summaries)
    if differing:
        raise UserError(
            expected="experiments that differ by seed only",
            got=f"different {', '.join(differing)}",
            where=", ".join(str(root) for root in roots),
            fix="compare runs of the same settings",
        )
    return summaries


def differing_keys(summaries: Sequence[Summary]) -> list[str]:
    """Settings of experiments that differ, beside their seed and what changes no result.

    >>> old, new = {"settings": {"rounds": 1}}, {"settings": {"rounds": 1, "teachers": 1}}
    >>> two = {"settings": {"rounds": 1, "teachers": 2}}
    >>> differing_keys([old, new]), differing_keys([old, two]), differing_keys([two, old])
    ([], ['teachers'], ['teachers'])
    """
    from scripts.rounds.settings import BEFORE

    free = {"seed", "root", "parallel", "threads", "dataset_path", "cluster", "slurm", "report"}
    settings = [BEFORE | {key: value for key, value in s["settings"].items() if key not in free} for s in summaries]
    keys = {key for own in settings for key in own}
    return sorted(key for key in keys if any(own.get(key) != settings[0].get(key) for own in settings))


def _of_all(summaries: Sequence[Summary], key: str) -> dict[str, list[Any]]:
    """Arms or labels by name, with those of every experiment that has them: rounds may have been cancelled in some."""
    names = dict.fromkeys(name for summary in summaries for name in summary[key])
    return {name: [summary[key][name] for summary in summaries if name in summary[key]] for name in names}


def markdown(summaries: Sequence[Summary]) -> str:
    """Tables in Markdown: every arm with mean and spread over seeds, every seed, and the pseudo labels."""
    splits, arms = summaries[0]["splits"], _of_all(summaries, "arms")
    columns = [(split, metric) for split in splits for metric in ("AP", "AP_50", "product_AP")]
    heads = ("detector", "trained on", "steps", *(f"{metric} {split}" for split, metric in columns))
    rows = []
    for name, found in arms.items():
        few = "" if len(found) == len(summaries) else f" ({len(found)} of {len(summaries)} seeds)"
        told = [[arm[split][metric] for arm in found if metric in arm[split]] for split, metric in columns]
        cells = [spread(values) if values else "-" for values in told]
        rows.append((f"{name}{few}", found[0]["meaning"], found[0]["steps"], *cells))
    parts = [*table(heads, rows), "", *_every_seed(summaries, list(arms)), "", *_labels(summaries)]
    return "\n".join(parts) + "\n"


def _every_seed(summaries: Sequence[Summary], arms: Sequence[str]) -> list[str]:
    split = summaries[0]["splits"][-1]
    rows = []
    for name in arms:
        found = [summary["arms"].get(name) for summary in summaries]
        rows.append((name, *("-" if row is None else f"{100 * row[split]['AP']:.1f}" for row in found)))
    heads = ("detector", *(f"seed {summary['settings']['seed']}" for summary in summaries))
    return [f"AP on {split}, seed by seed:", "", *table(heads, rows)]


def _labels(summaries: Sequence[Summary]) -> list[str]:
    rows = []
    for name, qualities in _of_all(summaries, "pseudo_labels").items():
        tables = [dict(quality_rows(quality)) for quality in qualities]
        for label in tables[0]:
            rates = (spread([table[label][index] for table in tables]) for index in (0, 1))
            rows.append((name, label, *rates))
    heads = ("round", "class or step", "precision", "recall")
    return ["Pseudo labels against the hidden labels, IoU 0.5, one box to one label:", "", *table(heads, rows)]


def main() -> None:
    """Compare runs; print the tables or write them, and a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="trainings, evaluations, rounds, ...")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="write the tables here instead of printing")
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="write a page with tables and curves, too")
    arguments = parser.parse_args()
    from modules.reports.compare import compare
    from modules.reports.labels import read_rounds
    from modules.reports.page import render, table_text
    from modules.reports.write import kind_of

    rounds = all(kind_of(folder) == "rounds" for folder in arguments.folders)
    by_seed = rounds and not differing_keys([read_rounds(folder) for folder in arguments.folders])
    sections = compare(arguments.folders) if arguments.html is not None or not by_seed else []
    text = markdown(load(arguments.folders)) if by_seed else table_text(sections)
    page = "" if arguments.html is None else render(_TITLE, sections)
    if arguments.html is not None:
        refuse_taken(arguments.html, "--html", page.partition(_TITLE)[0] + _TITLE)
    if arguments.output is not None:
        refuse_taken(arguments.output, "--output", _MARK)
    if arguments.html is not None:
        write_text(arguments.html, page)
    if arguments.output is None:
        print(text)
    else:
        write_text(arguments.output, _MARK + text)


if __name__ == "__main__":
    run_command(main)
