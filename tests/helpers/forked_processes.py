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

from tests.helpers.commands import run


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started_by_us(rank: int, world: int) -> dict[str, str]:
    """Environment of a process that this program's own launcher starts."""
    return {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "NODE_RANK": "0"}


def started_by_slurm(rank: int, world: int) -> dict[str, str]:
    """Environment of a task of ``srun`` on one node."""
    own = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NODEID": 0}
    job = {"SLURM_NTASKS": world, "SLURM_NTASKS_PER_NODE": world, "SLURM_NNODES": 1, "SLURM_JOB_ID": 4711}
    return {name: str(value) for name, value in (own | job).items()} | {"SLURM_JOB_NAME": "train"}


def _be(environment: dict[str, str], text_file: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    text = os.open(text_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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


def together(
    world: int,
    output: Path,
    function: Callable[..., Any],
    *arguments: Any,
    environment: Callable[[int, int], dict[str, str]] = started_by_us,
    timeout: float = 120,
) -> list[int]:
    """Call ``function`` in ``world`` forked processes whose environment says which is which.

    Lightning and ``torch.distributed`` (env:// with gloo) take rank, world size and address from there; see
    ``LOCAL_RANK`` and ``WORLD_SIZE``. What the processes print goes to ``output/rank<i>.txt``.

    Args:
        world: number of processes.
        output: an existing folder.
        function: called with ``arguments``; returns the exit status (None is 0); an exception is status 1.
        environment: variables of a process by its rank and the number of all.
        timeout: seconds after which all are killed and the test fails.

    Returns:
        exit status of each process, by rank.
    """
    fork = multiprocessing.get_context("fork")
    meeting_point = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    processes = []
    for rank in range(world):
        variables = environment(rank, world) | meeting_point
        text_file = output / f"rank{rank}.txt"
        processes.append(fork.Process(target=_be, args=(variables, text_file, function, arguments)))
        processes[-1].start()
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
