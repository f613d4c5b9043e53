"""Running commands: Hydra composition, one message for a user's mistake, exit status 2."""

from __future__ import annotations

import difflib
import functools
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from utils.dead_workers import explain_dead_worker
from utils.errors import UserError
from utils.processes import process_rank
from utils.signals import CommandStopped, ignore_stop, raise_on_stop
from utils.slurm import current_job, leave_job

CONFIG_DIR = Path(__file__).resolve().parents[1] / "config"

_NOISY = ("matplotlib", "numba", "PIL", "fsspec", "urllib3", "h5py")
_NOISY += ("pytorch_lightning", "lightning_fabric", "faster_coco_eval")

# When all processes of a run meet the same mistake, the first one says so and ends the others before they do.
_FIRST_SPEAKS_S = 3.0

log = logging.getLogger(__name__)


def run_command(function: Callable[[], Any]) -> None:
    """Call ``function``; a UserError becomes one message on stderr and exit status 2, Ctrl-C status 130.

    A scheduler's stop signal ends it with one message too and 128 + the signal's number (143 for SIGTERM); a SLURM job
    is queued again.

    Args:
        function: the command; its return value is ignored.
    """
    setup_logging()
    try:
        with stoppable():
            function()
    except UserError as error:
        _end_with(error)
    except RuntimeError as error:
        # torch reports a loader process that died wherever the program happens to be.
        explained = explain_dead_worker(error)
        if explained is None:
            raise
        _end_with(explained)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped by Ctrl-C\n")
        sys.exit(130)


def _end_with(error: UserError) -> NoReturn:
    """One message on stderr and exit status 2; the first process speaks first."""
    if process_rank() > 0:
        time.sleep(_FIRST_SPEAKS_S)
    sys.stderr.write(f"\nerror\n{error}\n")
    sys.exit(UserError.exit_status)


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it a stop signal ends the process: with a message, as SLURM needs it if this is a job of SLURM."""
    with raise_on_stop():
        try:
            yield
        except CommandStopped as stop:
            ignore_stop()
            rank, job = process_rank(), current_job()
            if rank == 0:
                sys.stderr.write(f"\n{stop.message}\n")
            if job is not None and stop.requeue:
                leave_job(job)
            # Of processes that one of us started, the first one's status speaks; another status would end the first.
            sys.exit(stop.exit_status if rank == 0 or job is not None else 0)


def setup_logging() -> None:
    """Log to stderr with time and level, once; libraries speak from WARNING on."""
    if not logging.getLogger().handlers:
        level = logging.INFO if process_rank() == 0 else logging.WARNING
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # Deprecations inside Lightning and notices about resuming say nothing that a user could act on.
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.utils.data")
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def hydra_entry(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a function of a composed config into a command.

    Args:
        config_name: primary YAML of the config folder, without suffix.

    The returned command takes Hydra overrides from ``sys.argv`` (``--help``, ``--cfg job``, ``--multirun`` too).
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def command() -> None:
            run_command(lambda: _compose_and_run(task, config_name))

        return command

    return decorate


def _compose_and_run(task: Callable[[DictConfig], Any], config_name: str) -> None:
    # Hydra would otherwise print its own report and exit with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    failure: list[UserError] = []

    @functools.wraps(task)
    def guarded(cfg: DictConfig) -> Any:
        try:
            with stoppable():  # here too: the jobs of a cluster launcher begin here
                return task(cfg)
        except UserError as error:
            failure.append(error)
        except OmegaConfBaseException as error:
            failure.append(explain(error, config_name))

    try:
        hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)(guarded)()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, config_name) from error
    if failure:
        raise failure[0]


def explain(error: Exception, config_name: str) -> UserError:
    """Turn a Hydra or OmegaConf error into a UserError with the nearest valid name.

    Args:
        error: what composition or access raised.
        config_name: primary config, used to list the valid keys.
    """
    text = str(error).strip()
    where = "command line" if len(sys.argv) > 1 else f"config/{config_name}.yaml"
    unknown_key = re.search(r"Could not override '([^']+)'", text)
    if unknown_key:
        key = unknown_key.group(1)
        return UserError(
            expected="a key of the configuration",
            got=f"'{key}', which does not exist",
            where=where,
            fix=_nearest(key, _known_keys(config_name)) or f"list the keys with: python {_program()} --cfg job",
        )
    unknown_option = re.search(r"Could not find '([^']+)'", text)
    if unknown_option:
        group, _, option = unknown_option.group(1).rpartition("/")
        folder = CONFIG_DIR / group
        options = sorted(file.stem if file.suffix == ".yaml" else file.name for file in folder.glob("*.yaml"))
        return UserError(
            expected=f"one of config/{group}/*.yaml: {', '.join(options)}" if options else "a file of config/",
            got=f"'{option}'",
            where=where,
            fix=_nearest(option, options) or f"choose one of them, or add config/{group}/{option}.yaml",
        )
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:
        key = missing.group(1)
        return UserError(
            expected=f"a value for '{key}'", got="none", where=where, fix=f"add it to the command: {key}=VALUE"
        )
    return UserError(
        expected="a valid configuration",
        got=" ".join(text.split("\n")[0].split()) or type(error).__name__,
        where=where,
        fix=f"compare with the keys that python {_program()} --cfg job prints",
    )


def _program() -> str:
    return Path(sys.argv[0]).name


def _nearest(name: str, candidates: list[str]) -> str | None:
    matches = difflib.get_close_matches(name, candidates, n=3, cutoff=0.6)
    if not matches:
        # A key with a wrong or missing parent: compare the last parts too.
        tail = name.rsplit(".", 1)[-1]
        by_tail = {candidate.rsplit(".", 1)[-1]: candidate for candidate in candidates}
        matches = [by_tail[match] for match in difflib.get_close_matches(tail, list(by_tail), n=3, cutoff=0.7)]
    return f"did you mean {' or '.join(repr(match) for match in matches)}?" if matches else None


def _known_keys(config_name: str) -> list[str]:
    """Return all dotted keys of the primary config with the groups that the command line chose, if they compose."""
    choices = [argument for argument in sys.argv[1:] if re.match(r"^\+?[\w/]+=[\w.\-\"']+$", argument)]
    groups = [choice for choice in choices if (CONFIG_DIR / choice.lstrip("+").split("=")[0]).is_dir()]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        try:
            cfg = hydra.compose(config_name, overrides=groups)
        except HydraException:
            cfg = hydra.compose(config_name)
    return list(_walk(cfg, ""))


def _walk(cfg: DictConfig, prefix: str) -> Iterator[str]:
    for key in cfg:
        path = f"{prefix}{key}"
        yield path
        node = cfg._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            yield from _walk(node, f"{path}.")
