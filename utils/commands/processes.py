"""Several processes that do one job: which of them this is, told by the environment before any library is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # torchrun, processes started by this program, srun


def process_rank(environment: Mapping[str, str] | None = None) -> int:
    """Number of this process among those that torchrun, srun or this program started together; 0 when it is alone.

    Args:
        environment: read instead of the process's own.

    >>> process_rank({"SLURM_PROCID": "3"}), process_rank({})
    (3, 0)
    """
    variables = os.environ if environment is None else environment
    for name in _RANKS:
        if variables.get(name, "").isdigit():
            return int(variables[name])
    return 0
