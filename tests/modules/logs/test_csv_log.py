"""The CSV log over several starts: no row lost, none twice, never half a file."""

from __future__ import annotations

import csv
from pathlib import Path

from modules.logs.csv_log import ContinuedCSVLogger


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs" / "version_0" / "metrics.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def start(folder: Path, keep: int) -> ContinuedCSVLogger:
    logger = ContinuedCSVLogger(folder)
    logger.begin(keep)
    return logger


def log(logger: ContinuedCSVLogger, step: int, **figures: float) -> None:
    logger.log_metrics(dict(figures), step)
    logger.save()


def test_it_goes_on_after_the_rows_of_the_resume_point(tmp_path: Path) -> None:
    first = start(tmp_path, 0)
    log(first, 0, loss=3.0)
    log(first, 1, loss=2.0)
    saved = first.flush()
    log(first, 2, loss=9.0, lr=0.1)  # after the resume point: will be done again
    second = start(tmp_path, saved)
    log(second, 2, loss=1.0, lr=0.1)
    log(second, 3, ap=0.5)
    assert second.flush() == 4
    assert [(row["step"], row["loss"], row["lr"], row["ap"]) for row in rows(tmp_path)] == [
        ("0", "3.0", "", ""),
        ("1", "2.0", "", ""),
        ("2", "1.0", "0.1", ""),
        ("3", "", "", "0.5"),
    ]


def test_half_a_row_is_cut_off(tmp_path: Path) -> None:
    first = start(tmp_path, 0)
    log(first, 0, loss=3.0)
    saved = first.flush()
    with (tmp_path / "logs" / "version_0" / "metrics.csv").open("a") as handle:
        handle.write("2.5")
    log(start(tmp_path, saved), 1, loss=2.0)
    assert [row["loss"] for row in rows(tmp_path)] == ["3.0", "2.0"]


def test_a_new_run_sets_the_old_log_aside(tmp_path: Path) -> None:
    log(start(tmp_path, 0), 0, loss=3.0)
    log(start(tmp_path, 0), 0, loss=2.0)
    assert [row["loss"] for row in rows(tmp_path)] == ["2.0"]
    assert "3.0" in (tmp_path / "logs" / "version_0" / "metrics.csv.old").read_text()
