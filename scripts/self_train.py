"""Rounds of self-training as one command: ``python scripts/self_train.py --help``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from scripts.rounds.plan import RoundsPlan, build_plan
from scripts.rounds.summary import summarise, table
from utils.atomic import write_json
from utils.cli import hydra_entry
from utils.errors import UserError
from utils.slurm_steps import submit_steps
from utils.steps import Step, run_steps

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


def submit(cfg: DictConfig, plan: RoundsPlan) -> None:
    """Let every missing step be a job of SLURM, and this very command one after all of them, for the table.

    Raises:
        UserError: another cluster than ``slurm``, or SLURM refuses a job.
    """
    if cfg.cluster != "slurm":
        raise UserError(expected="slurm or null", got=str(cfg.cluster), where="cluster", fix="set cluster=slurm")
    program = Path(__file__).resolve()
    overrides = [text for text in HydraConfig.get().overrides.task if not text.startswith("cluster=")]
    table_step = Step(
        name="summary",
        command=(sys.executable, str(program), *overrides, "cluster=null"),
        result=plan.root / SUMMARY,
        needs=tuple(step.name for step in plan.steps),
    )

    def options(step: Step) -> list[str]:
        training = Path(step.command[1]).name == "train.py"
        chosen = {**cfg.slurm.options, **(cfg.slurm.train_options if training else {})}
        given = {key: value for key, value in chosen.items() if value is not None and value is not False}
        return [f"--{key}" if value is True else f"--{key}={value}" for key, value in given.items()]

    jobs = submit_steps(
        [*plan.steps, table_step],
        log_dir=plan.root / "logs",
        jobs_file=plan.root / "jobs.json",
        script=program.parent / "slurm" / "step.sbatch",
        options=options,
    )
    log.info("%d jobs in the queue; the table will be at the end of %s", len(jobs), plan.root / "logs" / "summary.log")


def _plan(cfg: DictConfig) -> RoundsPlan:
    return build_plan(cfg, Path(__file__).resolve().parents[1])


@hydra_entry("self_train")
def main(cfg: DictConfig) -> None:
    """Run what is missing of the rounds, then print the table and write ``summary.json``."""
    root = Path(cfg.root)
    plan = _plan(cfg)
    settings = OmegaConf.to_container(cfg, resolve=True)
    if not isinstance(settings, dict):
        raise TypeError("the composed config is a mapping")
    machine = {"parallel", "threads", "root", "cluster", "slurm"}  # these change speed or place, never results
    check_settings(root, {str(key): value for key, value in settings.items() if key not in machine})
    if cfg.cluster is not None:
        submit(cfg, plan)
        return
    seconds = run_steps(plan.steps, log_dir=root / "logs", parallel=int(cfg.parallel), threads=cfg.threads)
    summary = summarise(plan, settings, seconds, root / SUMMARY)
    write_json(root / SUMMARY, summary)
    print(table(summary))
    log.info("summary: %s", root / SUMMARY)


if __name__ == "__main__":
    main()
