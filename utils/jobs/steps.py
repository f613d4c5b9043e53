"""Runs dependent commands, several at a time, each skipped when its result is already there.

None outlives this program: another start of it would meet what they hold.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.children import end_with_this_process
from utils.errors import UserError
from utils.jobs.slurm import without_slurm

log = logging.getLogger(__name__)

POLL_S = 0.2
REPORT_S = 20.0
_WARNING = re.compile(r"(?:\d\d:\d\d:\d\d )?(?:WARNING|ERROR) (.+)")
"""A line of ``utils.commands.cli.setup_logging`` that somebody should see."""


@dataclass(frozen=True)
class Step:
    """A command with the file or folder that proves it is done.

    Args:
        name: unique, also the name of its log file.
        command: argument list (never a shell line).
        result: the step is done when this path exists.
        needs: names of the steps that come before.
        unless: the step is left out, and counts as done, when one of these files exists; an earlier step may make it.
    """

    name: str
    command: tuple[str, ...]
    result: Path
    needs: tuple[str, ...] = ()
    unless: tuple[Path, ...] = ()

    def why_done(self) -> str:
        """Why nothing is left to do, with the file that says so; empty when something is."""
        if self.result.exists():
            return f"already there ({self.result})"
        return next((f"not needed ({path})" for path in self.unless if path.exists()), "")


@dataclass
class _Running:
    step: Step
    number: str  # of how many, e.g. "2 of 5"
    process: subprocess.Popen[bytes]
    started: float
    log_file: Path


def run_steps(steps: Sequence[Step], *, log_dir: Path, parallel: int, threads: int | None = None) -> dict[str, float]:
    """Run all steps in the order their needs allow; what they warn of is passed on, the same once for all.

    Args:
        steps: with needs among themselves.
        log_dir: gets ``<name>.log`` of every step that runs.
        parallel: processes at a time.
        threads: OMP threads of every process, None = unchanged.

    Returns:
        Seconds of every step that ran; skipped steps are left out.

    Raises:
        UserError: a step failed or left no result; its log's end is in the message. Running steps are stopped.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    waiting = list(steps)
    done: set[str] = set()
    running: list[_Running] = []
    seconds: dict[str, float] = {}
    told: set[str] = set()
    reported = time.monotonic()
    try:
        while waiting or running:
            for step in [s for s in waiting if s.why_done() and done.issuperset(s.needs)]:
                log.info("%s: %s", step.name, step.why_done())
                waiting.remove(step)
                done.add(step.name)
            ready = [step for step in waiting if done.issuperset(step.needs) and not step.why_done()]
            for step in ready[: max(0, parallel - len(running))]:
                waiting.remove(step)
                running.append(_start(step, f"{steps.index(step) + 1} of {len(steps)}", log_dir, threads))
            if waiting and not running and not ready:
                # Steps whose needs were met in this very pass are looked at again in the next one.
                if not any(done.issuperset(step.needs) for step in waiting):
                    raise RuntimeError(f"steps need each other: {[step.name for step in waiting]}")
                continue
            for entry in [entry for entry in running if entry.process.poll() is not None]:
                running.remove(entry)
                _pass_on(entry, told)
                seconds[entry.step.name] = _finish(entry)
                done.add(entry.step.name)
            if time.monotonic() - reported > REPORT_S:
                reported = time.monotonic()
                for entry in running:
                    _pass_on(entry, told)
                    spent, said = time.monotonic() - entry.started, _last_line(entry.log_file)
                    log.info("  %s (%s), %.0f s: %s", entry.step.name, entry.number, spent, said)
            time.sleep(POLL_S)
    finally:
        for entry in running:
            entry.process.terminate()
        for entry in running:
            entry.process.wait()
    return seconds


def _start(step: Step, number: str, log_dir: Path, threads: int | None) -> _Running:
    log_file = log_dir / f"{step.name}.log"
    environment = without_slurm(os.environ)  # this program answers SLURM's signals; a step just stops
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    log.info("%s (%s): started, log in %s", step.name, number, log_file)
    with open(log_file, "wb") as handle:
        handle.write((" ".join(step.command) + "\n").encode())
        handle.flush()
        process = subprocess.Popen(
            step.command,
            stdout=handle,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            preexec_fn=end_with_this_process(),
        )
    return _Running(step, number, process, time.monotonic(), log_file)


def _pass_on(entry: _Running, told: set[str]) -> None:
    for line in _read(entry.log_file):
        found = _WARNING.match(line)
        if found and found[1] not in told:
            told.add(found[1])
            log.warning("%s: %s", entry.step.name, found[1])


def _finish(entry: _Running) -> float:
    spent = time.monotonic() - entry.started
    status = entry.process.returncode
    if status != 0 or not entry.step.result.exists():
        tail = "\n".join(_read(entry.log_file)[-15:])
        raise UserError(
            expected=f"step '{entry.step.name}' to end well and leave {entry.step.result}",
            got=f"exit status {status}; the log ends with\n{tail}",
            where=str(entry.log_file),
            fix="mend the cause and start the same command again; finished steps are kept",
        )
    log.info("%s (%s): done in %.0f s", entry.step.name, entry.number, spent)
    return spent


def _read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()


def _last_line(path: Path) -> str:
    lines = [line for line in _read(path)[1:] if line.strip()]  # the first one is the command
    return lines[-1][:160] if lines else "..."
