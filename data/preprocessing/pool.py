"""Run independent jobs in several processes; results arrive as they are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from typing import TypeVar

from utils.errors import UserError

J = TypeVar("J")
R = TypeVar("R")


def run_jobs(function: Callable[[J], R], jobs: Sequence[J], num_workers: int) -> Iterator[tuple[J, R]]:
    """Yield ``(job, function(job))`` as results arrive; the first error stops what has not begun.

    Args:
        function: of a module, so that processes find it.
        jobs: the first are begun first.
        num_workers: processes; 0 and 1 stay in this one, in order.

    Raises:
        UserError: a process was killed; also whatever ``function`` raises.
    """
    if num_workers <= 1 or not jobs:
        for job in jobs:
            yield job, function(job)
        return
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    executor = ProcessPoolExecutor(min(num_workers, len(jobs)), mp_context=get_context(method))
    try:
        futures = {executor.submit(function, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            expected="processes that live until their work is done",
            got="one that was killed, most likely for want of memory",
            where="hardware.num_workers",
            fix="run the same command with fewer processes; finished sequences are kept",
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
