"""Stop signals: raised where work can be dropped, kept from loader processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

import utils.jobs.slurm
from utils.commands.cli import run_command, stoppable
from utils.commands.signals import STOP_SIGNALS, raise_on_stop, shield_worker
from utils.jobs.steps import Step, run_steps


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_a_command_ends_with_one_message(signum: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (*STOP_SIGNALS, signal.SIGINT)]
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: os.kill(os.getpid(), signum))
    assert stop.value.code == 128 + signum
    assert capsys.readouterr().err == f"\nstopped by {signum.name}. The same command starts again.\n"
    assert [signal.getsignal(number) for number in (*STOP_SIGNALS, signal.SIGINT)] == before


def test_no_recovery_swallows_it() -> None:
    reached = []
    with pytest.raises(SystemExit), stoppable():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            reached.append("handler of errors")
    assert not reached


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with raise_on_stop():
        assert signal.getsignal(signal.SIGUSR1) != before
    assert signal.getsignal(signal.SIGUSR1) == before


def _work(ready: Event) -> None:
    shield_worker(0)
    ready.set()
    time.sleep(60)


def test_only_its_parent_ends_a_worker() -> None:
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    worker = fork.Process(target=_work, args=(ready,))
    worker.start()
    assert ready.wait(30)
    assert worker.pid is not None
    stranger = fork.Process(target=lambda: [os.kill(worker.pid, number) for number in (*STOP_SIGNALS, signal.SIGINT)])
    stranger.start()
    stranger.join()
    worker.join(0.3)
    assert worker.is_alive()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0


STEP = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def stop(*_):
    (folder / "saved").write_text(os.environ.get("SLURM_JOB_ID", "no job"))
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
os.kill(os.getppid(), signal.SIGUSR1)
time.sleep(60)
"""


def test_steps_under_way_may_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setattr(utils.jobs.slurm, "_POLL_S", 0.0)
    step = Step("a", (sys.executable, "-c", STEP, str(tmp_path)), tmp_path / "result")
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: run_steps([step], log_dir=tmp_path, parallel=1))
    assert stop.value.code == 128 + signal.SIGUSR1
    assert (tmp_path / "saved").read_text() == "no job", "the step leaves SLURM to the program that started it"
    assert "job 4711 is not queued again: SLURM does not answer" in caplog.text
