"""Processes that a program starts, and that must not outlive it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def end_with_this_process() -> Callable[[], None] | None:
    """``preexec_fn`` of a process that the kernel is to kill when this one is gone, however that comes about.

    Being killed at once, the process lets go of its locks before anybody can start the same command again. It ends with
    the thread that starts it: let that be the main one. None where the kernel is not Linux.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()  # looked up before the fork

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            os._exit(1)

    return set_death_signal
