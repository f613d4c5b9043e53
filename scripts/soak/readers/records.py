"""Readers of JSON that the programs keep for themselves."""

from __future__ import annotations

from pathlib import Path

from data.inspection.verify import verify_dataset
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.manifest import MANIFEST, write_manifest
from data.sequences.record import (
    RECORD_FILE,
    SequenceCounts,
    counts_of_record,
    has_all_files,
    read_record,
    write_record,
)
from modules.checkpoints.start import DONE, Limits, is_done
from scripts.rounds.settings import SETTINGS, as_begun, check_settings
from scripts.rounds.stopping import precision
from scripts.soak.readers.reader import FRAMES, HW, Reader, json_file, write_sequence
from utils.commands.run_lock import LOCK, RunLock
from utils.jobs.slurm_steps import submit_steps

BEGUN = {"seed": 0, "self_training": {"model": None, "soft_anchors": False}, "labelling": {"options": []}}


def _config() -> PreprocessConfig:
    return PreprocessConfig(sensor_hw=HW, num_classes=2)


def _record(folder: Path) -> Path:
    root = write_sequence(folder).root
    counts = SequenceCounts("a", 300, FRAMES, 3, 6, 7, dropped={"too small": 1})
    write_record(root, "a.dat", _config().settings(), counts, {})
    return root / RECORD_FILE


def _read_record(path: Path) -> None:
    record = read_record(path.parent)
    if record is not None and has_all_files(path.parent, record):
        counts_of_record("a", record)


def _manifest(folder: Path) -> Path:
    _record(folder)
    left_out = {"train": [SequenceCounts("b", skipped="no box", raw_boxes=1, dropped={"too small": 1})]}
    write_manifest(folder / "dataset", _config().settings(), left_out, {})
    return folder / "dataset" / MANIFEST


def _read_manifest(path: Path) -> None:
    write_manifest(path.parent, _config().settings(), {}, {})
    verify_dataset(path.parent, _config())


def _read_lock(path: Path) -> None:
    with RunLock(path.parent):
        pass


def _read_settings(path: Path) -> None:
    check_settings(path.parent, as_begun(path.parent, BEGUN))


def _read_jobs(path: Path) -> None:
    submit_steps([], log_dir=path.parent, jobs_file=path, script=path, options=lambda step: [])


READERS = (
    Reader("json/manifest.json", _manifest, _read_manifest),
    Reader("json/sequence.json", _record, _read_record),
    Reader(
        "json/done.json",
        json_file(DONE, {"steps": 4, "max_steps": 4, "max_epochs": 9, "val/AP": 0.5}),
        lambda path: is_done(path.parent, Limits(4, 9)),
    ),
    Reader("json/settings.json", json_file(SETTINGS, BEGUN), _read_settings),
    Reader("json/quality.json", json_file("a.json", {"one_to_one": {"all": {"precision_50": 0.5}}}), precision),
    Reader("json/jobs.json", json_file("a.json", {"baseline": "12", "round1": "13"}), _read_jobs),
    Reader("json/lock", json_file(LOCK, {"host": "a", "pid": 1, "since": "2024"}), _read_lock),
)
