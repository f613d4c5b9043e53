"""A loader process that died is named, however its end shows first."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess

import pytest

from utils.commands import dead_workers
from utils.commands.dead_workers import explain_dead_worker


@pytest.fixture
def end_of():
    """Makes a process that ends in a given way, and sees to it that none is left."""
    started: list[BaseProcess] = []

    def start(how) -> BaseProcess:
        worker = multiprocessing.get_context("fork").Process(target=how)
        worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.join()


@pytest.mark.parametrize("broken", [ConnectionResetError(), EOFError(), FileNotFoundError()])
def test_a_broken_connection_is_explained_by_the_process_that_ended(end_of, broken):
    killed, alive = end_of(lambda: os.kill(os.getpid(), signal.SIGKILL)), end_of(signal.pause)
    message = explain_dead_worker(broken, [alive, killed])
    assert message is not None
    assert message.got == f"process {killed.pid} was killed (Killed)"
    assert "memory ran out" in message.fix


def test_an_exit_of_its_own_is_no_kill(end_of):
    left = end_of(lambda: os._exit(3))
    message = explain_dead_worker(EOFError(), [left])
    assert message is not None
    assert message.got == f"process {left.pid} ended unexpectedly"


def test_a_broken_connection_of_living_processes_is_another_error(end_of, monkeypatch):
    monkeypatch.setattr(dead_workers, "_DYING_S", 0.0)
    assert explain_dead_worker(ConnectionResetError(), [end_of(signal.pause)]) is None
    assert explain_dead_worker(ConnectionResetError()) is None


def test_torchs_own_signal_may_come_while_waiting(end_of, monkeypatch):
    def interrupted(*arguments: object, **more: object) -> None:
        raise RuntimeError("DataLoader worker (pid 12) is killed by signal: Bus error. ")

    monkeypatch.setattr(dead_workers, "wait", interrupted)
    message = explain_dead_worker(EOFError(), [end_of(signal.pause)])
    assert message is not None
    assert message.got == "process 12 was killed (Bus error)"
    assert "/dev/shm" in message.fix
