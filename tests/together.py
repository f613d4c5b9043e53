"""Run something in several processes at once, as torchrun would, without loading any library again: they are forked."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.running import run


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _be(rank: int, world: int, port: int, output: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.update(
        LOCAL_RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), NODE_RANK="0"
    )
    text = os.open(output / f"rank{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(text, 1)
    os.dup2(text, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    status = 1
    try:
        status = int(function(*arguments) or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def together(world: int, output: Path, function: Callable[..., Any], *arguments: Any, timeout: float = 120) -> list[int]:
    """Call ``function`` in ``world`` forked processes whose environment says which is which.

    Lightning and ``torch.distributed`` (env:// with gloo) take rank, world size and address from there; see
    ``LOCAL_RANK`` and ``WORLD_SIZE``. What the processes print goes to ``output/rank<i>.txt``.

    Args:
        world: number of processes.
        output: an existing folder.
        function: called with ``arguments``; returns the exit status (None is 0); an exception is status 1.
        timeout: seconds after which all are killed and the test fails.

    Returns:
        exit status of each process, by rank.
    """
    fork, port = multiprocessing.get_context("fork"), _free_port()
    processes = [fork.Process(target=_be, args=(rank, world, port, output, function, arguments)) for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout)
    late = [process for process in processes if process.is_alive()]
    for process in late:
        process.kill()
        process.join()
    assert not late, "".join((output / f"rank{rank}.txt").read_text() for rank in range(world))
    return [int(process.exitcode or 0) for process in processes]


def run_together(world: int, output: Path, program: str, *arguments: str) -> list[int]:
    """Run a command in several processes, with ``hardware.num_processes`` to match; returns their exit statuses."""
    return together(world, output, run, program, *arguments, f"hardware.num_processes={world}")
