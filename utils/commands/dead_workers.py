"""What to tell a user when a loader process was killed, instead of torch's traceback."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess as Process

from utils.errors import UserError

_DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: ([^.]+)|exited)")
_DYING_S = 10.0
"""A process may take long to end while its memory is written to disk; its connections are broken by then."""


def explain_dead_worker(error: BaseException, workers: Sequence[Process] = ()) -> UserError | None:
    """The message for a loader process that died, or None if the error is another one.

    torch notices such a process while it waits for a batch, or, through a signal, anywhere in the program. A process
    that dies while it hands a batch over shows as a broken connection.

    Args:
        error: what was raised.
        workers: the loader processes, if they are known.

    >>> explain_dead_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")).got
    'process 7 was killed (Killed)'
    """
    found: BaseException | None = error
    details: re.Match[str] | None = None
    while found is not None:
        match = _DEAD.search(str(found))
        if match is not None and (details is None or match.group(2)):
            details = match
        found = found.__cause__ or found.__context__
    if details is not None and details.group(2):
        return _message(details.group(1).strip(), details.group(2))
    if details is None and not isinstance(error, (ConnectionError, EOFError, FileNotFoundError)):
        return None
    try:
        if workers:
            ended = wait([worker.sentinel for worker in workers], timeout=_DYING_S)
            for worker in workers:
                if worker.sentinel in ended:
                    worker.join(_DYING_S)  # its connections close a moment before its exit status is known
    except RuntimeError as died:  # from torch's signal handler
        return explain_dead_worker(died)
    dead = [worker for worker in workers if worker.exitcode]
    if details is None and not dead:
        return None
    code = dead[0].exitcode or 0 if dead else 0
    number = details.group(1).strip() if details is not None else str(dead[0].pid)
    return _message(number, signal.strsignal(-code) if code < 0 else None)


def no_batch(waited_s: float) -> UserError:
    """The message for loader processes that live and bring nothing, with what shared memory has to do with it."""
    cause = "the files or their disk are slow or hang"
    with suppress(OSError):
        place = os.statvfs("/dev/shm")  # noqa: S108 # where torch lets the system put batches
        free, size = (blocks * place.f_frsize / 2**20 for blocks in (place.f_bavail, place.f_blocks))
        cause += f", or a batch did not fit into shared memory: {free:.0f} of {size:.0f} MiB are free in /dev/shm"
    return UserError(
        expected="a batch of the loader processes",
        got=f"none in {waited_s:.0f} s; {cause}",
        where="hardware.loader_timeout_s",
        fix="give the machine or container more shared memory, lower hardware.num_workers.train or "
        "hardware.prefetch_factor, or set hardware.num_workers.train=0 to see where it hangs; for slow disks set a "
        "longer hardware.loader_timeout_s; then the same command goes on from the last checkpoint",
    )


def _message(number: str, cause: str | None) -> UserError:
    return UserError(
        expected="loader processes that live as long as the run",
        got=f"process {number} was killed ({cause})" if cause else f"process {number} ended unexpectedly",
        where="loading of batches (hardware.num_workers)",
        fix=_fix(cause),
    )


def _fix(cause: str | None) -> str:
    again = "then the same command goes on from the last checkpoint"
    if cause is not None and "Bus error" in cause:
        return (
            f"give the machine or container more shared memory (/dev/shm), or set hardware.num_workers.train=0; {again}"
        )
    if cause is None or cause.startswith(("Killed", "Terminated")):
        return (
            "most likely memory ran out: lower hardware.num_workers.train, batch_size.train or "
            f"dataset.sequence_length, or ask for more memory; {again}"
        )
    return f"set hardware.num_workers.train=0 to see the error itself; {again}"
