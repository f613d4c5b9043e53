"""Settings every test shares: one thread, no network loggers."""

from __future__ import annotations

import os

os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from tests.slurm.mini_cluster import missing_programs

torch.set_num_threads(1)
# The first backward pass decides whether processes forked later can make one; torch.export, which some tests use,
# would let it start threads.
torch.ones(1, requires_grad=True).sum().backward()
# The same examples in every run; HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


NEED_SLURM = "LEOD_TESTS_NEED_SLURM"
"""Environment variable: with it tests of real SLURM jobs fail, rather than being left out, where there is none."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs programs that this machine lacks, and say so."""
    missing = missing_programs()
    if not missing or os.environ.get(NEED_SLURM):
        return
    left_out = [item for item in items if item.get_closest_marker("slurm")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("slurm")]
        config.hook.pytest_deselected(items=left_out)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line(f"{len(left_out)} tests of real SLURM jobs are left out: no {', '.join(missing)} here")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests of real SLURM jobs that passed, which dots do not."""
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", []) if "slurm" in report.keywords]
    if passed:
        terminalreporter.section("real SLURM jobs")
        for name in passed:
            terminalreporter.write_line(f"passed {name}")
