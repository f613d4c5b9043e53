"""Preprocessing killed at random moments ends with the bytes of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.helpers.commands import REPOSITORY


def test_killed_runs_end_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    program = REPOSITORY / "tests" / "helpers" / "recordings" / "killed_preprocessing.py"
    done = subprocess.run([sys.executable, program, tmp_path, "0"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8
