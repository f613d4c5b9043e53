"""Rounds of self-training as one command: ``python scripts/self_train.py --help``."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from scripts.rounds.picture import save_picture
from scripts.rounds.plan import RoundsPlan, build_plan
from scripts.rounds.settings import as_begun, check_commands, check_settings, experiment_settings
from scripts.rounds.stopping import guarded
from scripts.rounds.summary import summarise, table
from utils.atomic import write_json, write_text
from utils.commands.cli import hydra_entry
from utils.commands.path_overrides import quoted
from utils.commands.run_lock import RunLock
from utils.errors import UserError
from utils.jobs.slurm_steps import submit_steps
from utils.jobs.steps import Step, run_steps
from utils.settings import plain

log = logging.getLogger(__name__)
register_resolvers()

SUMMARY = "summary.json"


def submit(cluster: str, slurm: Mapping[str, Any], plan: RoundsPlan) -> None:
    """Let every missing step be a job of SLURM, and this very command one after all of them, for the table.

    Args:
        cluster: kind of the cluster.
        slurm: section ``slurm`` of the config.
        plan: of the experiment.

    Raises:
        UserError: another cluster than ``slurm``, or SLURM refuses a job.
    """
    if cluster != "slurm":
        raise UserError(expected="slurm or null", got=str(cluster), where="cluster", fix="set cluster=slurm")
    program = Path(__file__).resolve()
    overrides = [text for text in HydraConfig.get().overrides.task if not text.startswith("cluster=")]
    overrides += search_overrides()
    table_step = Step(
        name="summary",
        command=(sys.executable, str(program), *overrides, "cluster=null"),
        result=plan.root / SUMMARY,
        needs=tuple(step.name for step in plan.steps),
    )

    trainings = {step.name for step in plan.steps if Path(step.command[1]).name == "train.py"}

    def options(step: Step) -> list[str]:
        chosen = {**slurm["options"], **(slurm["train_options"] if step.name in trainings else {})}
        given = {key: value for key, value in chosen.items() if value is not None and value is not False}
        return [f"--{key}" if value is True else f"--{key}={value}" for key, value in given.items()]

    jobs = submit_steps(
        [*(guarded(step) for step in plan.steps), table_step],
        log_dir=plan.root / "logs",
        jobs_file=plan.root / "jobs.json",
        script=program.parent / "slurm" / "step.sbatch",
        options=options,
    )
    log.info("%d jobs in the queue; the table will be at the end of %s", len(jobs), plan.root / "logs" / "summary.log")


def model_overrides() -> list[str]:
    """What the command line says of the network: its file and single keys, for every command."""
    return [text for text in HydraConfig.get().overrides.task if re.match(r"[+~]*model[=./]", text)]


def search_overrides() -> list[str]:
    """Folders in which the command line lets files of the configuration be looked for (``--config-dir`` for one)."""
    sources = HydraConfig.get().runtime.config_sources
    folders = [quoted(f"file://{each.path}") for each in sources if each.schema == "file" and each.provider != "main"]
    return [f"hydra.searchpath=[{','.join(folders)}]"] if folders else []


@hydra_entry("self_train")
def main(cfg: DictConfig) -> None:
    """Run what is missing of the rounds, then print the table and write it with ``summary.json`` and a picture."""
    model, began = model_overrides(), time.monotonic()
    settings = plain(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "model"]))
    settings |= {"model": model} if model else {}
    root = Path(settings["root"])
    settings = as_begun(root, settings)
    plan = build_plan(experiment_settings(settings), Path(__file__).resolve().parents[1], model, search_overrides())
    check_commands(plan.steps, root)
    machine = {
        "report",
        "parallel",
        "threads",
        "root",
        "cluster",
        "slurm",
    }  # these change speed or place, never results
    with RunLock(root, "root", inside=("logs", "evaluation")):
        check_settings(root, {key: value for key, value in settings.items() if key not in machine})
        if cfg.cluster is not None:
            submit(settings["cluster"], settings["slurm"], plan)
            return
        seconds = run_steps(plan.steps, log_dir=root / "logs", parallel=int(cfg.parallel), threads=cfg.threads)
        summary = summarise(plan, settings, seconds, root / SUMMARY)
        write_json(root / SUMMARY, summary)
        text = table(summary)
        write_text(root / "summary.txt", f"{text.strip()}\n")
        save_picture(summary, root / "summary.png")
        print(text)
        from modules.reports.write import leave_report

        leave_report(root, "self_train", settings, time.monotonic() - began)
        log.info("summary: %s", root / SUMMARY)


if __name__ == "__main__":
    main()
