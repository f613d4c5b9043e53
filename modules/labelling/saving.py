"""Writing of finished sequences beside the detector's work: in a thread, one after the other, few waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

MOST_WAITING = 4
"""Sequences whose boxes may wait in memory to be written."""


class Saver:
    """Does jobs in their order in a thread; ``with`` ends when all of them are done.

    What a job raises is raised by the next call of :meth:`later`, or at the end of ``with``. When ``with`` is left by
    an exception, the jobs that wait are still done: what is written then need not be done again.

    Args:
        most: jobs that may wait; :meth:`later` returns once there are fewer.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.most = most
        self._jobs: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="save-labels")
        return self

    def later(self, job: Callable[[], None]) -> None:
        """Do a job after those before it."""
        self._jobs.append(self._thread.submit(job))
        while self._jobs and (len(self._jobs) > self.most or self._jobs[0].done()):
            self._jobs.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if error is None:
            for job in self._jobs:
                job.result()
