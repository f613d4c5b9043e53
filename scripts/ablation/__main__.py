r"""What each ingredient of self-training is worth with few labels, against training on and against all labels.

For every supervision and seed: a baseline on the few labels; the same trained on (control); self-training on its pseudo
labels above thresholds (vanilla), then with mirrored and reversed views, tracking, soft anchors and soft labels added
one by one, and a second round: LEOD's way; views merged by agreement (what scripts/self_train.py does), with tracks
that repair labels, and a second round; a teacher in every step; and all labels (oracle). Only where --arms names
them: a second teacher (teachers2), a view that lacks events (thinned), thresholds by precision (precise). Every arm
takes as many optimiser steps as its control. Started again, the command goes on where it was; more seeds, supervisions
or arms may be added then. Settings are to be chosen on val; --test evaluates on test as well, once.

For example:
  python scripts/ablation/__main__.py --dataset-path DATA --root RUNS
  python scripts/ablation/__main__.py --dataset-path DATA --root RUNS --seeds 0 1 2 3 4 \
    --supervision semi:0.1 weak:0.02 --steps 2400 --more-steps 1600 --curve 600 1200 2400 4000
  python scripts/ablation/__main__.py dataset.sequence_length=5 --dataset-path DATA --root RUNS
  python scripts/ablation/__main__.py --dataset-path DATA --root RUNS --test
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import check_least, make_parser
from scripts.ablation.report import collect, markdown, save_picture
from scripts.ablation.settings import AblationSettings, Supervision
from scripts.ablation.steps import ARMS, ON_REQUEST, AblationBuilder, build_part
from scripts.rounds.settings import check_settings
from scripts.rounds.summary import all_seconds
from utils.atomic import write_json, write_text
from utils.commands.cli import run_command
from utils.jobs.steps import run_steps

REPOSITORY = Path(__file__).resolve().parents[2]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(str(Path(__file__).parent), __doc__)
    add = parser.add_argument
    add("--dataset-path", type=Path, required=True, metavar="DATA", help="folder with train, val and test")
    add("--root", type=Path, default=Path("checkpoint/label_efficiency"), help="everything is kept here")
    add("--dataset", default="synthetic", metavar="NAME", help="file of config/dataset (default: synthetic)")
    add("--experiment", default="synthetic/demo", metavar="NAME", help="model size (default: synthetic/demo)")
    semi = Supervision("semi", 0.2)
    add(
        "--supervision", type=Supervision.parse, nargs="+", default=[semi], metavar="KIND:SHARE",
        help="semi:0.1, weak:0.02, file:SPLIT.json ... (default: semi:0.2)",
    )  # fmt: skip
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="of the trainings (default: 0 1 2)")
    usual, asked = [name for name in ARMS if name not in ON_REQUEST], ", ".join(ON_REQUEST)
    arms = f"of {', '.join(ARMS)} (default: all but {asked})"
    add("--arms", nargs="+", choices=list(ARMS), default=usual, metavar="ARM", help=arms)
    add("--steps", type=int, default=1200, metavar="N", help="of the baseline (default: 1200)")
    add("--more-steps", type=int, default=800, metavar="N", help="of every other arm, after it (default: 800)")
    add("--learning-rate", type=float, default=0.002, metavar="X", help="of the baseline (default: 0.002)")
    add("--more-learning-rate", type=float, default=0.001, metavar="X", help="afterwards (default: 0.001)")
    add("--curve", type=int, nargs="+", default=[], metavar="N", help="train baselines of N steps too: still rising?")
    add("--create-thresholds", type=float, nargs="+", metavar="X", help="scores of a pseudo label, per class")
    add("--unsure-thresholds", type=float, nargs="+", metavar="X", help="with soft anchors, lower: keep unsure boxes")
    add("--ignore-thresholds", type=float, nargs="+", metavar="X", help="... and ignore those below, per class")
    add("--soft-label-weight", type=float, default=1.0, metavar="X", help="of soft labels (default: 1)")
    add("--temperature", type=float, default=1.0, metavar="X", help="of soft labels (default: 1)")
    add("--ema-decay", type=float, metavar="X", help="average the weights of every training")
    add("--test", action="store_true", help="evaluate on test as well as on val")
    add("--parallel", type=int, default=2, metavar="N", help="commands at a time (default: 2)")
    add("--threads", type=int, default=1, metavar="N", help="CPU threads of each, 0 = torch's default (default: 1)")
    add("overrides", nargs="*", help="settings of every command, before the first option: dataset.sequence_length=5")
    return parser


def settings_of(arguments: argparse.Namespace) -> AblationSettings:
    """What decides the results.

    Raises:
        UserError: numbers that cannot be.
    """
    check_least(arguments, steps=1, more_steps=1, curve=1, parallel=1)
    overrides = list(arguments.overrides)
    labels = "dataset.pseudo_label"
    if arguments.create_thresholds:
        limits = _numbers(arguments.create_thresholds)
        overrides += [f"{labels}.obj_thresh={limits}", f"{labels}.cls_thresh={limits}"]
    ignore, unsure = _numbers(arguments.ignore_thresholds), _numbers(arguments.unsure_thresholds)
    if ignore:
        overrides.append(f"{labels}.ignore_thresh={ignore}")
    if arguments.ema_decay is not None:
        overrides.append(f"training.ema_decay={arguments.ema_decay}")
    same = {field.name: getattr(arguments, field.name) for field in fields(AblationSettings)}
    changed = {"overrides": tuple(overrides), "unsure_thresholds": unsure, "ignore_thresholds": ignore}
    return AblationSettings(**{**same, **changed, "dataset_path": str(arguments.dataset_path)})


def _numbers(values: Sequence[float] | None) -> str:
    """One number for all classes, or a list with one per class; empty for none."""
    words = [f"{value:g}" for value in values or ()]
    if not words:
        return ""
    return words[0] if len(words) == 1 else f"[{','.join(words)}]"


def main() -> None:
    """Run what is missing, then write ``ROOT/results.md``, ``results.json`` and ``results.png``."""
    arguments = build_parser().parse_intermixed_args()
    settings, root = settings_of(arguments), arguments.root
    supervisions = list(dict.fromkeys(arguments.supervision))
    splits = ["val", "test"] if arguments.test else ["val"]
    seeds, curve = sorted(set(arguments.seeds)), sorted(set(arguments.curve))
    check_settings(root, asdict(settings))
    build = AblationBuilder(settings, root, REPOSITORY, splits)
    parts = [build_part(build, one, seed, arguments.arms, curve) for one in supervisions for seed in seeds]
    threads = arguments.threads or None
    seconds = run_steps(build.steps, log_dir=root / "logs", parallel=arguments.parallel, threads=threads)

    file = root / "results.json"
    results = {
        "command": shlex.join(["python", "scripts/ablation/__main__.py", *sys.argv[1:]]),
        "settings": asdict(settings),
        "seeds": seeds,
        "splits": splits,
        "supervisions": collect(parts, splits),
        "seconds": all_seconds(file, seconds),
    }
    write_json(file, results)
    text = markdown(results)
    write_text(root / "results.md", text)
    save_picture(results, root / "results.png")
    print(text)


if __name__ == "__main__":
    run_command(main)
