"""Run independent jobs in several processes; results arrive as they are finished."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from utils.commands.logs import setup_logging
from utils.errors import UserError

J = TypeVar("J")
R = TypeVar("R")


def run_jobs(
    function: Callable[[J], R],
    jobs: Sequence[J],
    num_workers: int | None,
    key: str = "hardware.num_workers",
    start: str = "forkserver",
) -> Iterator[tuple[J, R]]:
    """Yield ``(job, function(job))`` as results arrive; the first error stops everything.

    Processes end with the one that started them, even if that is killed, and when the caller stops asking.

    Args:
        function: of a module, so that processes find it.
        jobs: the first are begun first.
        num_workers: processes; 0 and 1 stay in this one, in order; None: one per core that this process may use.
        key: where the user sets ``num_workers``, for messages.
        start: how processes are started, where the system can: ``forkserver`` soonest, ``spawn`` as own children.

    Raises:
        UserError: a process was killed; also whatever ``function`` raises.
    """
    workers = min(usable_cores() if num_workers is None else num_workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield job, function(job)
        return
    context = get_context(start if start in get_all_start_methods() else "spawn")
    context.set_forkserver_preload([function.__module__])  # imported once, not by every process
    ours, theirs = context.Pipe(duplex=False)  # closes with this process, however it ends
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(ours,))
    try:
        futures = {executor.submit(function, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
        executor.shutdown(wait=True)
    except BrokenProcessPool as error:
        raise UserError(
            expected="processes that live until their work is done",
            got="one that was killed, most likely for want of memory",
            where=key,
            fix="run the same command with fewer processes; what is finished is kept",
        ) from error
    finally:
        theirs.close()
        executor.shutdown(wait=True, cancel_futures=True)
        ours.close()


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(parent: Connection) -> None:
    """Say things as commands do, leave Ctrl-C to the parent, and end as soon as its side of the pipe is closed."""
    setup_logging()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_end, args=(parent,), daemon=True).start()


def _wait_for_end(parent: Connection) -> None:
    try:
        parent.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
