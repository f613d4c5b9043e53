"""PEDRo (Boretti et al., CVPR Workshops 2023) in the dataset layout: persons seen by a hand-carried DAVIS346.

A sample of PEDRo is the events of one 40 ms interval and the boxes drawn on it; samples do not join to recordings.
Each becomes a short sequence of N windows that end evenly spread over the interval, the last at its end: windows of
the full 40 ms therefore fill up, and the last, labelled frame holds the events on which the boxes were drawn.
A recurrent detector trains on a sample with ``sequence_length`` up to N. Windows of 40 / N ms (``dt_ms``) cut the
interval into disjoint parts instead.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.open import open_recording
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.dataset import finish
from data.preprocessing.filters import filter_and_count
from data.preprocessing.folder import exclusive, refuse_links, refuse_others
from data.preprocessing.job import Outcome, attempt
from data.preprocessing.manifest import check_settings
from data.preprocessing.pool import run_jobs
from data.preprocessing.recordings import SPLITS
from data.preprocessing.sequence import NO_LABEL, count_repairs, write_sequence
from data.preprocessing.shards import Shard
from data.preprocessing.stale import refuse_stale
from data.preprocessing.timing import WindowPlan
from data.sequences.layout import StoredLabels
from data.sequences.record import SequenceCounts, counts_of_record, has_all_files, read_record
from data.sequences.sources import Sources
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.progress import track

log = logging.getLogger(__name__)

LABEL_TIME_US = 1_000_000
"""Time given to the end of every sample; evaluation skips the first half second of a sequence."""


@dataclass(frozen=True)
class Sample:
    """One sample to import: its events, its boxes, its place in the dataset, and how to window it.

    ``stale``: a sequence of it is there that is to be replaced, as its files have changed since.
    """

    events: Path
    boxes: Path
    out_dir: Path
    split: str
    cfg: PreprocessConfig
    num_windows: int
    sample_ms: float
    settings: dict[str, Any]
    stale: bool = False


def read_yolo_boxes(path: Path | str, hw: tuple[int, int], t_us: int) -> npt.NDArray[Any]:
    """Boxes of a YOLO text file: lines of class, centre x, centre y, width, height, as shares of the frame.

    Returns:
        ``BBOX_DTYPE`` [N], top-left corner and size in pixels, confidence 1.

    Raises:
        UserError: the file is missing or a line is not of this form.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            expected="a file of boxes for every sample",
            got="no such file",
            where=str(path),
            fix="add it (may be empty)",
        )
    rows: list[list[float]] = []
    # A byte that is no text is no number either, and its line is named.
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = [np.nan]
        if row and (len(row) != 5 or not np.isfinite(row).all() or row[0] < 0 or min(row[3:]) <= 0 or max(row[1:]) > 2):
            raise UserError(
                expected="class, centre x, centre y, width, height as shares of the frame",
                got=repr(line),
                where=f"{path}, line {number}",
                fix="correct the line",
            )
        if row:
            rows.append(row)
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 5)
    (class_id, centre_x, centre_y, width, height), boxes = table.T, np.zeros(len(table), dtype=BBOX_DTYPE)
    boxes["t"], boxes["class_id"] = t_us, class_id.astype(np.uint32)
    w, h = width * hw[1], height * hw[0]
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = centre_x * hw[1] - w / 2, centre_y * hw[0] - h / 2, w, h
    boxes["class_confidence"] = boxes["objectness"] = 1.0
    return boxes


def sample_plan(num_windows: int, sample_us: int) -> WindowPlan:
    """Windows of one sample: their ends evenly spread over the last ``sample_us`` before ``LABEL_TIME_US``.

    >>> sample_plan(4, 40_000).ends_us.tolist()
    [970000, 980000, 990000, 1000000]
    """
    before = sample_us * np.arange(num_windows - 1, -1, -1) // num_windows
    return WindowPlan(
        ends_us=(LABEL_TIME_US - before).astype(np.int64),
        label_times_us=np.asarray([LABEL_TIME_US], dtype=np.int64),
        objframe_idx_2_repr_idx=np.asarray([num_windows - 1], dtype=np.int64),
    )


def import_sample(sample: Sample) -> Outcome:
    """Write one sample as a sequence; one that is there already is kept, one without boxes left out."""
    return attempt(lambda: _import(sample), sample.out_dir, sample.events, sample.stale)


def _import(sample: Sample) -> SequenceCounts:
    cfg, name = sample.cfg, sample.out_dir.name
    record = None if sample.stale else read_record(sample.out_dir)
    if record is not None and has_all_files(sample.out_dir, record):
        return counts_of_record(name, record)
    sources = Sources(sample.events, sample.boxes)
    raw = read_yolo_boxes(sample.boxes, cfg.sensor_hw, LABEL_TIME_US)
    boxes, dropped = filter_and_count(raw, cfg, sample.split)
    if not len(boxes):
        return SequenceCounts(name, raw_boxes=len(raw), dropped=dropped, skipped=NO_LABEL)
    plan = sample_plan(sample.num_windows, round(sample.sample_ms * 1000))
    first = np.zeros(1, dtype=np.int64)
    labels = StoredLabels(boxes, first, plan.objframe_idx_2_repr_idx, plan.label_times_us)
    recording = open_recording(sample.events, cfg.sensor_hw)
    counts = SequenceCounts(
        name=name,
        events=recording.num_events,
        frames=sample.num_windows,
        labelled_frames=1,
        boxes=len(boxes),
        raw_boxes=len(raw),
        dropped=dropped,
        repaired=count_repairs(recording),
    )
    clock_us = recording.t_last_us - LABEL_TIME_US
    write_sequence(
        recording, plan, labels, sample.out_dir, cfg, counts, sample.settings, sources, clock_us, sample.stale
    )
    return counts


def import_samples(
    raw_path: Path | str,
    out_path: Path | str,
    cfg: PreprocessConfig,
    num_windows: int,
    sample_ms: float = 40.0,
    pool: bool = False,
    num_workers: int | None = 0,
    refresh: bool = False,
    shard: Shard | None = None,
) -> dict[str, list[SequenceCounts]]:
    """Import ``<raw_path>/numpy/<split>/*.npy`` with ``<raw_path>/yolo/<split>/*.txt`` into ``out_path``.

    A split that the source lacks becomes a link to one that it has (val to test, test to val, else train). The same
    call goes on where it was stopped.

    Args:
        raw_path: folder with ``numpy`` and ``yolo``.
        out_path: the dataset's folder.
        cfg: sizes, filters and representation (its window length need not be the sample's).
        num_windows: frames per sequence, at least the ``sequence_length`` of training.
        sample_ms: length of a sample.
        pool: put all samples into train and link val and test to it, to see whether a detector learns them by heart.
        num_workers: processes.
        refresh: import samples again whose events or boxes have changed since.
        shard: import a share of the samples, without manifest and links.

    Raises:
        UserError: nothing to import, a damaged or changed file, or other parameters than before.
    """
    if num_windows < 1 or sample_ms <= 0:
        raise UserError(
            expected="at least one window and a length above 0",
            got=f"num_windows={num_windows}, sample_ms={sample_ms}",
            where="num_windows, sample_ms",
            fix="change these keys",
        )
    out_path = Path(out_path)
    settings = {**cfg.settings(), "num_windows": num_windows, "sample_ms": sample_ms, "pool": pool}
    samples = find_samples(raw_path, out_path, cfg, settings)
    refuse_links(out_path, (sample.split for sample in samples))
    samples = samples if shard is None else shard.of(samples)
    refuse_others(sample.out_dir for sample in samples)
    with exclusive(out_path) if shard is None else shard.hold(out_path, [sample.out_dir for sample in samples]):
        check_settings(out_path, settings)
        stale = refuse_stale(((sample.out_dir, (sample.events, sample.boxes)) for sample in samples), refresh)
        samples = [replace(sample, stale=sample.out_dir in stale) for sample in samples]
        results = run_jobs(import_sample, samples, num_workers)
        outcomes = [
            (sample.split, counts)
            for sample, counts in track(results, total=len(samples), desc="importing", unit="sample")
        ]
        if shard is None:
            link_missing_splits(out_path)
        return finish(outcomes, out_path, settings, str(raw_path), shard)


def find_samples(raw_path: Path | str, out_path: Path, cfg: PreprocessConfig, settings: dict[str, Any]) -> list[Sample]:
    """Samples of the source in the order train, val, test and then by name.

    Args:
        raw_path: folder with ``numpy`` and ``yolo``.
        out_path: the dataset's folder.
        cfg: how.
        settings: of ``cfg``, with ``num_windows``, ``sample_ms`` and ``pool``.
    """
    raw_path = Path(raw_path)
    samples: list[Sample] = []
    for split in SPLITS:
        for events in sorted((raw_path / "numpy" / split).glob("*.npy")):
            boxes = raw_path / "yolo" / split / f"{events.stem}.txt"
            name = f"{split}_{events.stem}" if settings["pool"] else events.stem
            target = "train" if settings["pool"] else split
            num_windows, sample_ms = settings["num_windows"], settings["sample_ms"]
            out_dir = out_path / target / name
            samples.append(Sample(events, boxes, out_dir, target, cfg, num_windows, sample_ms, settings))
    if not samples:
        raise UserError(
            expected="samples numpy/<split>/*.npy",
            got="none",
            where=str(raw_path),
            fix="give the folder that holds numpy and yolo as raw_path",
        )
    return samples


def link_missing_splits(out_path: Path) -> None:
    """Make the splits that are not there relative links to one that is."""
    present = [split for split in SPLITS if (out_path / split).exists()]
    for split, choices in (("train", ("val", "test")), ("val", ("test", "train")), ("test", ("val", "train"))):
        target = next((choice for choice in choices if choice in present), None)
        if split not in present and target is not None:
            log.info("%s: there is none, linked to %s", split, target)
            (out_path / split).symlink_to(target)
