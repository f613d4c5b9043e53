"""Dependent commands run in order, are skipped when done, and a failure shows the end of its log."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from pathlib import Path

import pytest

from utils.errors import UserError
from utils.jobs import steps as jobs
from utils.jobs.steps import Step, run_steps


def touch(name: str, folder: Path, *needs: str, needs_file: str | None = None) -> Step:
    code = f"import pathlib; pathlib.Path({str(folder / name)!r}).touch()"
    if needs_file:
        code = f"import pathlib; assert pathlib.Path({str(folder / needs_file)!r}).exists(); " + code
    return Step(name, (sys.executable, "-c", code), folder / name, needs)


def test_order_and_skipping(tmp_path: Path) -> None:
    steps = [touch("b", tmp_path, "a", needs_file="a"), touch("a", tmp_path), touch("c", tmp_path, "b", needs_file="b")]
    assert sorted(run_steps(steps, log_dir=tmp_path / "logs", parallel=2)) == ["a", "b", "c"]
    assert run_steps(steps, log_dir=tmp_path / "logs", parallel=2) == {}
    (tmp_path / "c").unlink()
    assert list(run_steps(steps, log_dir=tmp_path / "logs", parallel=2)) == ["c"]


def test_failure_names_the_step_and_shows_its_log(tmp_path: Path) -> None:
    bad = Step("bad", (sys.executable, "-c", "print('the cause'); raise SystemExit(3)"), tmp_path / "bad")
    with pytest.raises(UserError, match="the cause") as caught:
        run_steps([bad], log_dir=tmp_path / "logs", parallel=1)
    assert "exit status 3" in str(caught.value)


def test_warnings_are_passed_on_and_progress_names_the_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "REPORT_S", 0.0)
    caplog.set_level(logging.INFO)
    code = "print('12:00:01 WARNING 0 pseudo labels\\n12:00:02 INFO {}'); open({!r}, 'w')"
    paths = {name: str(tmp_path / name) for name in "ab"}
    steps = [Step(name, (sys.executable, "-c", code.format(name, path)), Path(path)) for name, path in paths.items()]
    run_steps(steps, log_dir=tmp_path / "logs", parallel=1)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["a: 0 pseudo labels"]
    assert any(message.startswith("  a (1 of 2), ") for message in caplog.messages)
    assert not any(sys.executable in message for message in caplog.messages)
    assert sys.executable in (tmp_path / "logs" / "b.log").read_text()


def test_a_step_without_its_result_has_failed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave"):
        run_steps([Step("idle", (sys.executable, "-c", "pass"), tmp_path / "x")], log_dir=tmp_path / "logs", parallel=1)


def test_circular_needs_are_reported(tmp_path: Path) -> None:
    steps = [touch("a", tmp_path, "b"), touch("b", tmp_path, "a")]
    with pytest.raises(RuntimeError, match="need each other"):
        run_steps(steps, log_dir=tmp_path / "logs", parallel=1)


def run_one(step: Step, folder: Path) -> None:
    run_steps([step], log_dir=folder / "logs", parallel=1)


def test_no_step_outlives_a_killed_program(tmp_path: Path) -> None:
    code = f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))"
    code += "; time.sleep(60)"
    step = Step("long", (sys.executable, "-c", code), tmp_path / "never")
    process = multiprocessing.get_context("fork").Process(target=run_one, args=(step, tmp_path))
    process.start()
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    child = int((tmp_path / "pid").read_text())
    process.kill()
    process.join()
    end = time.monotonic() + 10
    while alive(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
