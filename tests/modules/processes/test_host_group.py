"""What processes tell each other in a step: one message, whose largest numbers all of them have."""

from __future__ import annotations

import os
from pathlib import Path

import torch.distributed as dist

from modules.processes.host_group import SharedFlags, host_barrier, host_group
from tests.helpers.forked_processes import together


def _compare(folder: str) -> int:
    rank = int(os.environ["LOCAL_RANK"])
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    calls = 0
    reduce = dist.all_reduce

    def counted(*arguments: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        return reduce(*arguments, **more)  # type: ignore[arg-type]

    dist.all_reduce = counted  # in this process alone
    flags = SharedFlags()
    asked = {"signal": 15 * rank, "time is over": 1 - rank, "bad loss": 0}
    for name, value in asked.items():
        flags.watch(name, lambda value=value: value)  # type: ignore[misc]
    before = flags.largest("signal")
    flags.compare()
    found = [flags.largest(name) for name in asked]
    host_barrier()
    assert host_group() is host_group()
    dist.destroy_process_group()
    return 7 if (before, found, calls) == (0, [15, 1, 0], 1) else 1


def test_flags_of_all_processes_take_one_message(tmp_path: Path) -> None:
    assert together(2, tmp_path, _compare, str(tmp_path)) == [7, 7], (tmp_path / "rank0.txt").read_text()


def test_a_single_process_has_its_own_flags_at_once() -> None:
    flags, asked = SharedFlags(), {"now": 0}
    flags.watch("signal", lambda: asked["now"])
    flags.compare()
    asked["now"] = 15
    assert flags.largest("signal") == 15
    assert host_group() is None
    host_barrier()
