"""Running commands: Hydra composition, one message for a user's mistake, exit status 2."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from utils.allocator import keep_freed_memory
from utils.commands.config_code import refuse_code
from utils.commands.config_errors import CONFIG_DIR, CONFIG_ERRORS, explain, is_no_file
from utils.commands.dead_workers import explain_dead_worker
from utils.commands.kinds import check_kinds
from utils.commands.logs import setup_logging
from utils.commands.out_of_memory import explain_out_of_memory, is_out_of_memory
from utils.commands.path_overrides import quote_paths
from utils.commands.processes import process_rank
from utils.commands.signals import CommandStopped, ignore_stop, raise_on_stop
from utils.commands.system_errors import explain_os_error, standard_streams
from utils.errors import UserError
from utils.jobs.slurm import current_job, leave_job

# When all processes of a run meet the same mistake, the first one says so and ends the others before they do.
_FIRST_SPEAKS_S = 3.0

log = logging.getLogger(__name__)

MemoryKnobs = Callable[[DictConfig], Sequence[str]]
"""From a composed config to overrides with which it takes less memory."""


def run_command(function: Callable[[], Any]) -> None:
    """Call ``function``; a UserError, and what the system refuses, becomes one message on stderr and exit status 2.

    Ctrl-C ends it with status 130, output that nobody reads any more (``| head``) with 141, without a word.

    A scheduler's stop signal ends it with one message too and 128 + the signal's number (143 for SIGTERM); a SLURM job
    is queued again.

    Args:
        function: the command; its return value is ignored.
    """
    try:
        with standard_streams(), stoppable():
            setup_logging()
            keep_freed_memory()  # before loader processes are forked, which inherit it
            function()
    except UserError as error:
        _end_with(error)
    except OSError as error:
        _end_with(explain_os_error(error))
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
    with suppress(OSError):  # nobody may be there to be told
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
                leave_job(job, terminated=stop.exit_status == 128 + signal.SIGTERM)
            # Of processes that one of us started, the first one's status speaks; another status would end the first.
            sys.exit(stop.exit_status if rank == 0 or job is not None else 0)


def hydra_entry(
    config_name: str, memory_knobs: MemoryKnobs = lambda cfg: ()
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a function of a composed config into a command.

    Args:
        config_name: primary YAML of the config folder, without suffix.
        memory_knobs: overrides that save memory with the model of a config, for the message when it runs out.

    The returned command takes Hydra overrides from ``sys.argv`` (``--help``, ``--cfg job``, ``--multirun`` too).
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def command() -> None:
            run_command(lambda: _compose_and_run(task, config_name, memory_knobs))

        return command

    return decorate


def _explained(error: Exception, cfg: DictConfig, config_name: str, memory_knobs: MemoryKnobs) -> UserError | None:
    """What a user can do about an error, None if we do not know."""
    if isinstance(error, UserError):
        return error
    if is_out_of_memory(error):
        return explain_out_of_memory(error, cfg, config_name == "train", memory_knobs(cfg))
    if not isinstance(error, CONFIG_ERRORS):
        return None
    return explain(error, config_name)


def _compose_and_run(task: Callable[[DictConfig], Any], config_name: str, memory_knobs: MemoryKnobs) -> None:
    refuse_code(sys.argv[1:], CONFIG_DIR)
    # Hydra would otherwise print its own report and exit with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *quote_paths(sys.argv[1:])]
    failure: list[UserError] = []

    @functools.wraps(task)
    def guarded(cfg: DictConfig) -> Any:
        setup_logging()  # here too, as the jobs of a sweep on a cluster begin here
        try:
            with stoppable():
                check_kinds(cfg)
                return task(cfg)
        except (UserError, RuntimeError, MemoryError, *CONFIG_ERRORS) as error:
            mistake = _explained(error, cfg, config_name, memory_knobs)
            if mistake is None:
                raise
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # perhaps in another process than the one that reports it
                raise mistake from error
            failure.append(mistake)

    try:
        hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)(guarded)()
    except (ValueError, TypeError, *CONFIG_ERRORS) as error:
        if not isinstance(error, CONFIG_ERRORS) and not is_no_file(error):
            raise
        raise explain(error, config_name) from error
    if failure:
        raise failure[0]
