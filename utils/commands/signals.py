"""Signals that ask a command to stop: remembered, or raised where the work can be dropped at any instruction."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What schedulers send: SLURM's preemption and end (TERM), its time-limit warning (USR1 here, USR2 by submitit)."""


class CommandStopped(BaseException):
    """The command ends before its work is done; not an ``Exception``, so that no recovery swallows it.

    Args:
        message: why, and how to go on.
        exit_status: of the command.
        requeue: a scheduler asked for it: a SLURM job is to be queued again.
    """

    def __init__(self, message: str, exit_status: int, requeue: bool) -> None:
        super().__init__(message, exit_status, requeue)
        self.message = message
        self.exit_status = exit_status
        self.requeue = requeue


def _raise(signum: int, frame: FrameType | None) -> None:
    del frame
    name = signal.Signals(signum).name
    raise CommandStopped(f"stopped by {name}. The same command starts again.", 128 + signum, requeue=True)


def in_main_thread() -> bool:
    """Whether signal handlers can be set here."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def raise_on_stop() -> Iterator[None]:
    """Within it a stop signal raises ``CommandStopped``; handlers are put back after it."""
    if not in_main_thread():
        yield
        return
    before = {signal.SIGINT: signal.getsignal(signal.SIGINT)}
    before |= {signum: signal.signal(signum, _raise) for signum in STOP_SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            # None: set by a library in C, which Python cannot put back.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)


_noted: list[tuple[int, float]] = []
"""Stop signals that are to be answered at the next good moment, and when they came."""

_LONGEST_ANSWER_S = 10.0


def note_stop(signum: int) -> None:
    """Remember a stop signal that will be answered at the next good moment, if that comes."""
    _noted.append((signum, time.monotonic()))


def forget_stops() -> None:
    """The signals were answered."""
    _noted.clear()


def leave_if_asked(waiting_for: str) -> None:
    """Called while something is waited for that may never come: a stop signal is answered here if it has to be.

    Raises:
        CommandStopped: a signal has waited for seconds already.
    """
    if _noted and time.monotonic() - _noted[0][1] > _LONGEST_ANSWER_S:
        signum = _noted[0][0]
        raise CommandStopped(
            f"stopped by {signal.Signals(signum).name} while waiting for {waiting_for}. The same command goes on from "
            "the newest checkpoint.",
            128 + signum,
            requeue=signum != signal.SIGINT,
        )


def ignore_stop() -> None:
    """From here on stop signals and Ctrl-C do nothing: the way out is under way."""
    if in_main_thread():
        for signum in (*STOP_SIGNALS, signal.SIGINT):
            signal.signal(signum, signal.SIG_IGN)


def shield_worker(worker_id: int) -> None:
    """``worker_init_fn`` of a DataLoader: schedulers signal the whole process tree, but only the parent ends a worker.

    Without it a worker dies of SIGTERM or Ctrl-C, and its parent with it, before it can finish the batch and save.
    """
    del worker_id
    for signum in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True, name="sigterm").start()


def _end_with_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
