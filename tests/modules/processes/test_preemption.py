"""Interrupts: the first asks for a stop, the second ends the program at once (the rest: test_train_resume)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from modules.training.preemption import Preemption
from tests.helpers.forked_processes import together


def _interrupt(times: int) -> int:
    preemption = Preemption(lambda trainer: Path())
    signal.signal(signal.SIGINT, preemption._handle)
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
    return 7


@pytest.mark.parametrize(("times", "status"), [(1, 7), (2, -signal.SIGINT)])
def test_second_interrupt_ends_at_once(tmp_path: Path, times: int, status: int) -> None:
    assert together(1, tmp_path, _interrupt, times) == [status]
