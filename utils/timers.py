"""How long a block of code takes on a device, without making the program wait for the device."""

from __future__ import annotations

import time
from types import TracebackType

import torch


class CudaTimer:
    """Adds up the time of a ``with`` block, on a GPU by events in its stream, elsewhere by the clock.

    Entering and leaving wait for nothing, so kernels of several blocks can still overlap with the host; reading
    ``seconds`` waits for the last block to be finished.

    Args:
        device: where the block's work runs.

    >>> timer = CudaTimer(torch.device("cpu"))
    >>> for _ in range(3):
    ...     with timer:
    ...         _ = torch.ones(10).sum()
    >>> timer.count, timer.seconds >= 0.0
    (3, True)
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.count = 0
        self._seconds = 0.0
        self._started: float | torch.cuda.Event = 0.0
        self._pending: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __enter__(self) -> CudaTimer:
        self._started = self._now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self._now()
        self.count += 1
        if isinstance(ended, torch.cuda.Event):
            assert isinstance(self._started, torch.cuda.Event)
            self._pending.append((self._started, ended))
        else:
            assert not isinstance(self._started, torch.cuda.Event)
            self._seconds += ended - self._started

    def _now(self) -> float | torch.cuda.Event:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    @property
    def seconds(self) -> float:
        """Of all blocks together."""
        for started, ended in self._pending:
            ended.synchronize()
            self._seconds += float(started.elapsed_time(ended)) / 1000
        self._pending.clear()
        return self._seconds

    @property
    def mean_s(self) -> float:
        """Of a block; 0 before the first one."""
        return self.seconds / self.count if self.count else 0.0
