"""Checks that do not stop each other: each is a row of a report that is written after each of them.

A check that fails is a row that says so. One that takes the process or the device with it is found by the next start,
if finished rows are kept in a file.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modules.training.stopping import TRY_AGAIN
from utils.atomic import write_json
from utils.errors import UserError
from utils.json_files import read_json

log = logging.getLogger(__name__)

NOT_REACHED = "not reached"
PASSED, FAILED = "passed", "**failed**"
_STATE = {"end?": float, "rows?": {...: [str]}, "running?": object}
_LEAST_LIMIT_S = 60.0
_LONGEST = 500  # letters of a mistake in a row


@dataclass(frozen=True)
class Result:
    """What a check found.

    Args:
        figures: in words.
        passed: None for figures without a goal.
    """

    figures: str
    passed: bool | None = None


@dataclass(frozen=True)
class Case:
    """One check.

    Args:
        section: heading under which its row stands.
        name: of the row.
        run: does it; an exception is a failure.
        seconds: that it is expected to take; with less left it is not begun.
    """

    section: str
    name: str
    run: Callable[[], Result]
    seconds: float

    @property
    def key(self) -> str:
        """Name within all checks."""
        return f"{self.section}: {self.name}"

    @property
    def limit_s(self) -> float:
        """Seconds after which it is taken to hang."""
        return max(_LEAST_LIMIT_S, 4 * self.seconds)


def _read(state: Path) -> dict[str, Any]:
    return read_json(state, _STATE, expected="what an earlier start of this check found", fix="remove it to begin anew")


class Checks:
    """Runs checks one after the other and keeps what they found.

    Args:
        write: gets the report after each check.
        facts: what belongs beside the figures.
        budget_s: seconds for all checks; what does not fit is reported as not reached.
        state: file of finished rows, with which another start goes on; None keeps none.
        leave: ends a process in which a check hangs, or whose device is lost.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        facts: Mapping[str, str],
        budget_s: float,
        state: Path | None = None,
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        self.write, self.facts, self.state, self.leave = write, facts, state, leave
        before = _read(state) if state is not None and state.exists() else {}
        self.end = float(before.get("end", time.time() + budget_s))
        self.rows: dict[str, tuple[str, str]] = {key: (row[0], row[1]) for key, row in before.get("rows", {}).items()}
        if before.get("running"):
            self.rows[before["running"]] = (FAILED, "the process ended in it")
        self.cases: Sequence[Case] = ()

    def run(self, cases: Sequence[Case]) -> None:
        """Run all that have no row yet."""
        self.cases = cases
        for case in cases:
            if case.key in self.rows:
                continue
            left = self.end - time.time()
            if left < case.seconds:
                self._note(case, NOT_REACHED, f"{left:.0f} s of the budget left, {case.seconds:.0f} s needed")
                continue
            self._save(running=case.key)
            with self._watched(case):
                verdict, figures = _guarded(case)
            self._note(case, verdict, figures)
            if not _device_answers():
                log.error("the device does not answer this process any more")
                self.leave(TRY_AGAIN)

    def report(self) -> str:
        """All rows so far, as Markdown."""
        lines = ["## On a GPU", "", "; ".join(f"{key}: {value}" for key, value in self.facts.items()) + "."]
        section = None
        for case in self.cases:
            if case.key not in self.rows:
                continue
            if case.section != section:
                section = case.section
                lines += ["", f"### {section}", "", "| check | result | figures |", "| --- | --- | --- |"]
            lines.append(f"| {' | '.join(_cell(text) for text in (case.name, *self.rows[case.key]))} |")
        counts = ", ".join(
            f"{sum(verdict == kind for verdict, _ in self.rows.values())} {word}"
            for kind, word in ((PASSED, "passed"), (FAILED, "failed"), (NOT_REACHED, NOT_REACHED))
        )
        return "\n".join([*lines, "", f"Checks with a goal: {counts}."])

    def _note(self, case: Case, verdict: str, figures: str) -> None:
        self.rows[case.key] = (verdict, figures)
        log.info("%s: %s %s", case.key, verdict, figures)
        self._save(running=None)
        self.write(self.report())

    def _save(self, running: str | None) -> None:
        if self.state is not None:
            write_json(self.state, {"end": self.end, "rows": self.rows, "running": running})

    @contextmanager
    def _watched(self, case: Case) -> Iterator[None]:
        def give_up() -> None:
            self._note(case, FAILED, f"not done after {case.limit_s:.0f} s")
            self.leave(TRY_AGAIN)

        timer = threading.Timer(case.limit_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _guarded(case: Case) -> tuple[str, str]:
    """Verdict and figures, whatever happens."""
    try:
        result = case.run()
    except Exception as error:  # a row, so that the other checks run
        log.exception("%s", case.key)
        return FAILED, first_line(error)
    finally:
        gc.collect()
        if torch.cuda.is_initialized():
            _empty_cache()
    return {None: "", True: PASSED, False: FAILED}[result.passed], result.figures


def _empty_cache() -> None:
    try:
        torch.cuda.empty_cache()
    except RuntimeError:  # of a lost device
        log.exception("the cache cannot be emptied")


def _device_answers() -> bool:
    if not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def first_line(error: BaseException) -> str:
    """Kind and first line of an error; of one of ours, whose lines belong together, the beginning."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)[:_LONGEST] if isinstance(error, UserError) else "".join(lines[:1])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
