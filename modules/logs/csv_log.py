"""The CSV log of a run: one file over all its starts, without lost or repeated rows."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from utils.atomic import atomic_path
from utils.commands.run_lock import folder_error


class _Writer(ExperimentWriter):
    """Lightning's writer, which goes on with the file that is there and never leaves half of one."""

    def _check_log_dir_exists(self) -> None:
        """Leave the file alone (the base class deletes it)."""

    def save(self) -> None:
        """Append what was logged to the file.

        Raises:
            UserError: the disk is full, or the folder is gone.
        """
        try:
            super().save()
        except OSError as error:
            raise folder_error(Path(self.log_dir), error) from error

    def keep(self, rows: int) -> None:
        """Cut the file after its first rows, those that a resume point knows of; 0 sets it aside as ``.csv.old``."""
        path = Path(self.metrics_file_path)
        self.metrics = []
        if not path.is_file():
            return
        if rows == 0:
            os.replace(path, path.with_suffix(".csv.old"))
            return
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            self.metrics_keys = list(reader.fieldnames or [])
            kept = [row for _, row in zip(range(rows), reader, strict=False)]
        self._write(path, kept, self.metrics_keys)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        self._write(path, rows, fieldnames)

    @staticmethod
    def _write(path: Path, rows: list[dict[str, str]], fieldnames: list[str]) -> None:
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, fieldnames=fieldnames)
            writer.writeheader()
            writer.writerows(rows)

    def synced_rows(self) -> int:
        """Bring all rows to disk; returns their number."""
        self.save()
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return 0
        with path.open("r+b") as handle:
            os.fsync(handle.fileno())
        with path.open(newline="", encoding="utf-8") as handle:
            return sum(1 for _ in csv.DictReader(handle))


class ContinuedCSVLogger(CSVLogger):
    """``logs/version_0/metrics.csv`` of a run, the same file at every start.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="logs", version=0)

    @property
    @rank_zero_experiment
    def experiment(self) -> _Writer:
        """The file's writer."""
        if self._experiment is None:
            self._experiment = _Writer(log_dir=self.log_dir)
        assert isinstance(self._experiment, _Writer)
        return self._experiment

    @rank_zero_only
    def begin(self, rows: int) -> None:
        """Go on after the first rows; 0 begins anew."""
        self.experiment.keep(rows)

    def flush(self) -> int:
        """Bring the rows to disk; returns their number (0 on processes that do not write)."""
        return self._flush() or 0

    @rank_zero_only
    def _flush(self) -> int:
        return self.experiment.synced_rows()
