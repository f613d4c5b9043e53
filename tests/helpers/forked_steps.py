"""Steps of experiments in forked processes: no library is loaded again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import IO, Any

import pytest
from hydra.core.global_hydra import GlobalHydra

import utils.jobs.steps
from tests.helpers.commands import run


class ForkedProcess:
    """Stands for ``subprocess.Popen`` with a Python program of this repository as its command."""

    def __init__(
        self, command: Sequence[str], stdout: IO[bytes], env: Mapping[str, str] | None = None, **_: Any
    ) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._be(command, stdout, env or {})

    @staticmethod
    def _be(command: Sequence[str], stdout: IO[bytes], env: Mapping[str, str]) -> None:
        status = 1
        try:
            os.environ.update(env)
            GlobalHydra.instance().clear()  # that of the program which forked
            for number in (1, 2):
                os.dup2(stdout.fileno(), number)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            status = run(*command[1:])
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


FORKING = SimpleNamespace(Popen=ForkedProcess, STDOUT=subprocess.STDOUT, DEVNULL=subprocess.DEVNULL)
"""Stands for the module ``subprocess``."""


@pytest.fixture
def forked_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``run_steps`` fork."""
    monkeypatch.setattr(utils.jobs.steps, "subprocess", FORKING)
