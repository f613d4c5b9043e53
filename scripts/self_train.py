"""Rounds of self-training as one command: ``python scripts/self_train.py --help``."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from scripts.rounds.plan import RoundsPlan, build_plan
from scripts.rounds.summary import summarise, table
from utils.atomic import write_json
from utils.cli import hydra_entry
from utils.errors import UserError
from utils.steps import run_steps

log = logging.getLogger(__name__)
register_resolvers()

SETTINGS = "settings.json"
SUMMARY = "summary.json"


def check_settings(root: Path, settings: dict[str, object]) -> None:
    """Refuse to mix two experiments in one folder; remember the settings of a new one.

    Raises:
        UserError: the folder holds results of other settings; the message names the keys that differ.
    """
    path = root / SETTINGS
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(key for key in before.keys() | settings.keys() if before.get(key) != settings.get(key))
        if differing:
            raise UserError(
                expected="the settings this experiment was started with",
                got=", ".join(f"{key}={settings.get(key)} (before: {before.get(key)})" for key in differing),
                where=str(path),
                fix="choose another root=FOLDER, or take the changed keys back",
            )
        return
    write_json(path, settings)


def _plan(cfg: DictConfig) -> RoundsPlan:
    return build_plan(cfg, Path(__file__).resolve().parents[1])


@hydra_entry("self_train")
def main(cfg: DictConfig) -> None:
    """Run what is missing of the rounds, then print the table and write ``summary.json``."""
    # The steps are processes of their own: ended by a scheduler, this one must end them too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    root = Path(cfg.root)
    plan = _plan(cfg)
    settings = OmegaConf.to_container(cfg, resolve=True)
    if not isinstance(settings, dict):
        raise TypeError("the composed config is a mapping")
    machine = {"parallel", "threads", "root"}  # these change speed or place, never results
    check_settings(root, {str(key): value for key, value in settings.items() if key not in machine})
    seconds = run_steps(plan.steps, log_dir=root / "logs", parallel=int(cfg.parallel), threads=cfg.threads)
    summary = summarise(plan, settings, seconds, root / SUMMARY)
    write_json(root / SUMMARY, summary)
    print(table(summary))
    log.info("summary: %s", root / SUMMARY)


if __name__ == "__main__":
    main()
