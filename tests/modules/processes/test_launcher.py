"""What the launcher takes from its processes' ends."""

from __future__ import annotations

import pytest

from modules.processes.launcher import ProcessLauncher


class _Ends:
    """A process that runs for some calls of ``poll`` and then ends with a status."""

    def __init__(self, status: int | None, after: int = 0) -> None:
        self.status, self.after = status, after

    def poll(self) -> int | None:
        self.after -= 1
        return None if self.after >= 0 else self.status


@pytest.mark.parametrize(
    ("processes", "wait_s", "status"),
    [
        ([_Ends(0), _Ends(2)], 0, 2),
        ([_Ends(-9)], 0, 1),  # killed: no status of its own
        ([_Ends(0), _Ends(0)], 60, None),  # nobody is left to wait for
        ([_Ends(None)], 0, None),  # still running when the time is over
        ([_Ends(0, after=1), _Ends(2, after=2)], 60, 2),  # it ends while we wait
        ([_Ends(0, after=2)], 60, None),
    ],
)
def test_the_status_of_a_process_that_failed(processes, wait_s, status):
    launcher = ProcessLauncher.__new__(ProcessLauncher)
    launcher.procs = processes
    assert launcher._failed_status(wait_s) == status
