"""What to tell a user when a loader process was killed, instead of torch's traceback."""

from __future__ import annotations

import re

from utils.errors import UserError

_DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: ([^.]+)|exited)")


def explain_dead_worker(error: BaseException) -> UserError | None:
    """The message for a loader process that died, or None if the error is another one.

    torch notices such a process while it waits for a batch, or, through a signal, anywhere in the program.

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
    if details is None:
        return None
    signal = details.group(2)
    return UserError(
        expected="loader processes that live as long as the run",
        got=f"process {details.group(1).strip()} was killed ({signal})"
        if signal
        else "one that was ended from outside",
        where="loading of batches (hardware.num_workers)",
        fix=_fix(signal),
    )


def _fix(signal: str | None) -> str:
    again = "then the same command goes on from the last checkpoint"
    if signal is not None and "Bus error" in signal:
        return (
            f"give the machine or container more shared memory (/dev/shm), or set hardware.num_workers.train=0; {again}"
        )
    if signal is None or signal.startswith(("Killed", "Terminated")):
        return (
            "most likely memory ran out: lower hardware.num_workers.train, batch_size.train or "
            f"dataset.sequence_length, or ask for more memory; {again}"
        )
    return f"set hardware.num_workers.train=0 to see the error itself; {again}"
