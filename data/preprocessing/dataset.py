"""All recordings of a raw folder, in several processes, each sequence whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.bbox import read_bbox_npy
from data.events.open import open_recording
from data.events.recording import recording_name
from data.genx_utils.layout import LABEL_DIR, SequencePaths, read_labels
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.filters import filter_boxes
from data.preprocessing.pool import run_jobs
from data.preprocessing.sequence import NO_LABEL, SequenceCounts, keep_label_times, preprocess_recording
from utils.atomic import write_json
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.progress import track

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
SUFFIXES = (".dat", ".aedat4", ".npz", ".npy")
PARAMETERS_FILE = "preprocessing.json"


@dataclass(frozen=True)
class Job:
    """One recording to preprocess."""

    recording: Path
    boxes: Path
    out_dir: Path
    split: str
    cfg: PreprocessConfig


def preprocess_dataset(
    raw_path: Path | str,
    out_path: Path | str,
    cfg: PreprocessConfig,
    num_workers: int = 0,
    splits: Sequence[str] = SPLITS,
) -> dict[str, list[SequenceCounts]]:
    """Preprocess ``<raw_path>/<split>/<name>_td.dat`` with ``<name>_bbox.npy`` into ``<out_path>/<split>/<name>``.

    Recordings may be of any format that ``open_recording`` reads. Finished sequences are kept, so the same call goes
    on where it was stopped; ``<out_path>/preprocessing.json`` holds the parameters and must not change in between.

    Args:
        raw_path: folder with a folder for each split.
        out_path: the dataset's folder.
        cfg: how.
        num_workers: processes; 0 and 1 stay in this one.
        splits: which of train, val, test; those that ``raw_path`` lacks are left out.

    Returns:
        Counts of every sequence, by split, sorted by name.

    Raises:
        UserError: nothing to do, a damaged file, boxes that are missing, or other parameters than before.
    """
    jobs = find_recordings(raw_path, out_path, cfg, splits)
    check_parameters(Path(out_path), cfg)
    for split in splits:
        remove_stale(Path(out_path) / split)
    order = sorted(jobs, key=lambda job: (-job.recording.stat().st_size, job.split, job.recording.name))
    report: dict[str, list[SequenceCounts]] = {split: [] for split in splits if any(j.split == split for j in jobs)}
    for job, counts in track(_run(order, num_workers), total=len(order), desc="preprocessing", unit="sequence"):
        report[job.split].append(counts)
    for split, rows in report.items():
        rows.sort(key=lambda counts: counts.name)
        log_summary(split, rows)
    return report


def find_recordings(
    raw_path: Path | str, out_path: Path | str, cfg: PreprocessConfig, splits: Sequence[str] = SPLITS
) -> list[Job]:
    """Recordings of a raw folder with their boxes and their place in the dataset, sorted by split and name."""
    raw_path, out_path = Path(raw_path), Path(out_path)
    jobs: list[Job] = []
    for split in splits:
        folder = raw_path / split
        if not folder.is_dir():
            log.warning("%s: no such folder, the split is left out", folder)
            continue
        taken: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix not in SUFFIXES or path.name.endswith("_bbox.npy") or not path.is_file():
                continue
            name = recording_name(path)
            if name in taken:
                raise UserError(
                    expected="one recording per name",
                    got=f"{taken[name].name} and {path.name}",
                    where=str(folder),
                    fix="rename or remove one of them",
                )
            taken[name] = path
            boxes = path.with_name(f"{name}_bbox.npy")
            if not boxes.is_file() and not cfg.all_windows:
                raise UserError(
                    expected=f"boxes beside {path.name}",
                    got=f"no {boxes.name}",
                    where=str(folder),
                    fix="add the file, or set preprocessing.all_windows=true to keep recordings without labels",
                )
            jobs.append(Job(path, boxes, out_path / split / name, split, cfg))
    if not jobs:
        raise UserError(
            expected=f"recordings ({', '.join('*' + suffix for suffix in SUFFIXES)}) in {', '.join(splits)}",
            got="none",
            where=str(raw_path),
            fix="give the folder that holds train, val and test as raw_path",
        )
    return jobs


def check_parameters(out_path: Path, cfg: PreprocessConfig, **more: float | bool) -> None:
    """Store the parameters beside the splits; raise UserError if sequences were written with others."""
    parameters = json.loads(json.dumps({**asdict(cfg), **more}))
    file = out_path / PARAMETERS_FILE
    if not file.is_file() or not any(out_path.glob(f"*/[!.]*/{LABEL_DIR}")):
        write_json(file, parameters)  # nothing was written with the old ones
        return
    stored = json.loads(file.read_text(encoding="utf-8"))
    different = sorted(key for key in {*stored, *parameters} if stored.get(key) != parameters.get(key))
    if different:
        raise UserError(
            expected="the parameters that this folder was started with",
            got="; ".join(f"{key}={parameters.get(key)} instead of {stored.get(key)}" for key in different),
            where=str(file),
            fix="choose another dataset.path, or delete the folder to start anew",
        )


def remove_stale(split_dir: Path) -> None:
    """Remove unfinished folders whose process on this machine has ended."""
    for path in sorted(split_dir.glob(".*.tmp-*")):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 asks and does nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _run(jobs: list[Job], num_workers: int) -> Iterator[tuple[Job, SequenceCounts]]:
    todo: list[Job] = []
    for job in jobs:  # what is finished needs no process
        counts = _finished(job)
        if counts is None:
            todo.append(job)
        else:
            yield job, counts
    yield from run_jobs(run_job, todo, num_workers)


def _finished(job: Job) -> SequenceCounts | None:
    """Counts of a sequence that is there already."""
    paths = SequencePaths(job.out_dir, job.cfg.representation.build().name, job.cfg.downsample_by_factor_2)
    if not (paths.labels_npz.is_file() and paths.h5.is_file()):
        return None
    labels = read_labels(paths)
    frames = len(np.load(paths.frame_timestamps, allow_pickle=False))
    return SequenceCounts(paths.name, frames, len(labels), len(labels.boxes), len(_read_boxes(job)))


def _read_boxes(job: Job) -> npt.NDArray[Any]:
    return read_bbox_npy(job.boxes) if job.boxes.is_file() else np.zeros(0, dtype=BBOX_DTYPE)


def run_job(job: Job) -> SequenceCounts:
    """Preprocess one recording (called in worker processes)."""
    cfg, boxes = job.cfg, _read_boxes(job)
    if not cfg.all_windows and not len(keep_label_times(filter_boxes(boxes, cfg, job.split), cfg)[0]):
        return SequenceCounts(job.out_dir.name, raw_boxes=len(boxes), skipped=NO_LABEL)  # before a large file is opened
    recording = open_recording(job.recording, cfg.sensor_hw)
    return preprocess_recording(recording, boxes, job.out_dir, cfg, job.split)


def log_summary(split: str, rows: list[SequenceCounts]) -> None:
    """Log what became of a split's recordings, and which were left out and why."""
    kept = [row for row in rows if row.skipped is None]
    log.info(
        "%s: %d sequences, %d frames, %d labelled frames, %d of %d boxes kept",
        split,
        len(kept),
        sum(row.frames for row in kept),
        sum(row.labelled_frames for row in kept),
        sum(row.boxes for row in kept),
        sum(row.raw_boxes for row in rows),
    )
    for row in rows:
        if row.skipped is not None:
            log.info("%s: %s left out: %s", split, row.name, row.skipped)
