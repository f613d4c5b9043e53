"""Starts the further processes of a run, and sees to it that all of them end together.

torchrun starts a run as well (``ProcessLauncher`` then starts nothing), but it cannot do this for one command with
``hardware.num_processes=2``: its agent is a process of its own above all ranks, so the first rank's results and the
jobs of a Hydra sweep would have to be carried back to the command; whatever status a rank ends with, the agent prints
its own report and a traceback and ends with 1, while a user's mistake is one message and status 2; and when the agent
is killed, its ranks go on without it. ``torch.distributed.elastic`` leaves all three to its caller, too.
"""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from utils.children import end_with_this_process
from utils.errors import UserError

log = logging.getLogger(__name__)

PARENT = "LEOD_PARENT_PROCESS"
"""Environment variable: process id of the process that started this one."""

_POLL_S = 0.5
_GRACE_S = 5.0  # for an error to show in the other processes too
_REPOSITORY = Path(__file__).resolve().parents[2]


class ProcessLauncher(_SubprocessScriptLauncher):
    """Runs the same command once more for every further process of this machine.

    Lightning's own launcher (the base class) adds a Hydra run folder to the command and kills the first process when
    another one fails. Here the processes get the very same command and working directory, and when one of them fails
    the others are ended and the first one ends with its exit status, so that a user's mistake is one message and
    status 2, whatever process met it. Nothing is started where torchrun or srun has started the processes.
    """

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        """Start the other processes if they do not run yet, then call ``function``.

        Raises:
            SystemExit: another process failed; the status is that process's.
        """
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.procs and not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            atexit.register(self._wait_for_all)
            threading.Thread(target=self._watch, name="process-watch", daemon=True).start()
        watch_parent()
        try:
            return function(*args, **kwargs)
        except UserError:
            self._end_all()
            raise
        except Exception as error:
            status = self._failed_status(_GRACE_S)
            self._end_all()
            if status is None:
                raise
            log.debug("another process failed first", exc_info=error)
            raise SystemExit(status) from None

    def _call_children_scripts(self) -> None:
        environment = os.environ | {
            "MASTER_ADDR": self.cluster_environment.main_address,
            "MASTER_PORT": str(self.cluster_environment.main_port),
            "NODE_RANK": str(self.cluster_environment.node_rank()),
            "WORLD_SIZE": str(self.num_processes * self.num_nodes),
            PARENT: str(os.getpid()),
        }
        for local_rank in range(1, self.num_processes):
            own = environment | {"LOCAL_RANK": str(local_rank)}
            self.procs.append(subprocess.Popen(same_command(), env=own, preexec_fn=end_with_this_process()))

    def _failed_status(self, wait_s: float) -> int | None:
        """Exit status of a process that failed, waiting a while for one; None when all go on or ended well."""
        end = time.monotonic() + wait_s
        while True:
            failed = [status for proc in self.procs if (status := proc.poll())]
            if failed:
                return failed[0] if failed[0] > 0 else 1
            if time.monotonic() > end or all(proc.poll() == 0 for proc in self.procs):
                return None
            time.sleep(_POLL_S / 5)

    def _watch(self) -> None:
        """End this process when another one failed and the error does not reach it (a collective never returns)."""
        while any(proc.poll() is None for proc in self.procs):
            time.sleep(_POLL_S)
        status = self._failed_status(0)
        if status is None:
            return
        time.sleep(2 * _GRACE_S)
        log.error("a process of this run ended with status %d; ending all", status)
        self._end_all()
        logging.shutdown()
        sys.stderr.flush()
        os._exit(status)

    def _wait_for_all(self) -> None:
        """Let the other processes finish before this one is gone."""
        end = time.monotonic() + 2 * _GRACE_S
        while any(proc.poll() is None for proc in self.procs) and time.monotonic() < end:
            time.sleep(_POLL_S / 5)
        self._end_all()

    def _end_all(self) -> None:
        for proc in self.procs:
            if proc.poll() is None:
                proc.kill()
        for proc in self.procs:
            proc.wait()


def same_command() -> list[str]:
    """Command line of this very program and job: of a Hydra sweep, the overrides of the job that runs now."""
    main = sys.modules["__main__"]
    program, arguments = Path(sys.argv[0]), sys.argv[1:]
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        arguments = list(HydraConfig.get().overrides.task)
    spec = getattr(main, "__spec__", None)
    if spec is not None and Path(str(spec.origin)).resolve() == program.resolve():
        return [sys.executable, "-m", spec.name, *arguments]
    return [sys.executable, str(program if program.is_file() else _REPOSITORY / program), *arguments]


def watch_parent() -> None:
    """End this process when the process that started it is gone, however that came about."""
    parent = os.environ.pop(PARENT, None)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def leave_process_group() -> None:
    """Forget the processes of an earlier run in this very process (a sweep, a test), so that a new run can begin."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
