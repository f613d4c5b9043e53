"""Run the real commands in this process, as the command line would."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

SMALL = (
    "dataset=synthetic",
    "+experiment/synthetic=demo",
    "dataset.sensor_hw=[128,160]",
    "dataset.sequence_length=4",
    "batch_size.train=2",
    "batch_size.eval=2",
    "hardware.num_workers.train=0",
    "logging.progress_bar=false",
    "logging.report=false",
    "logging.pictures.validation=0",
)
"""Overrides that make every command small enough for a test on a CPU."""


def command(program: str) -> Callable[[], None]:
    """The ``main`` of an entry point or script, by its path from the repository."""
    path = REPOSITORY / program
    spec = importlib.util.spec_from_file_location(f"command_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def call(main: Callable[[], object], program: str, *arguments: str) -> int:
    """Call the ``main`` of a program with arguments; returns its exit status."""
    before = sys.argv
    sys.argv = [program, *arguments]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


def run(program: str, *arguments: str) -> int:
    """Run a command with arguments; returns its exit status."""
    return call(lambda: command(program)(), program, *arguments)


def failure(capsys: pytest.CaptureFixture[str], program: str, *arguments: str) -> str:
    """Run a command that must fail by the user's mistake: status 2 and one message, which is returned."""
    capsys.readouterr()
    status = run(program, *arguments)
    err = capsys.readouterr().err
    assert status == 2, err
    assert "Traceback" not in err
    assert err.count("expected:") == 1
    return err
