"""What a worker process does: one recording, made into a sequence or reported as a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.box_files.read import BoxContext
from data.events.recording import Recording
from data.preprocessing.filters import filter_and_count
from data.preprocessing.folder import cannot_write, no_more_writing
from data.preprocessing.layouts.registry import layout_of
from data.preprocessing.raw_boxes import read_raw_boxes
from data.preprocessing.recordings import Job
from data.preprocessing.sequence import NO_LABEL, count_repairs, preprocess_recording
from data.sequences.layout import SequencePaths, read_labels
from data.sequences.record import SequenceCounts, counts_of_record, has_all_files, read_record, write_record
from data.sequences.sources import Sources
from utils.arrays import load_indices
from utils.atomic import discard
from utils.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A recording that nothing was made of.

    Attributes:
        name: the sequence that it would have been.
        expected, got, where, fix: see ``UserError``.
    """

    name: str
    expected: str
    got: str
    where: str
    fix: str

    @property
    def reason(self) -> str:
        """All of it on one line."""
        return f"expected {self.expected}; got {self.got} ({self.where}); {self.fix}"


Outcome = SequenceCounts | Failure


def finished(job: Job) -> SequenceCounts | None:
    """Counts of a sequence that is there already and stays, by its record."""
    record = None if job.stale else read_record(job.out_dir)
    return counts_of_record(job.out_dir.name, record) if record and has_all_files(job.out_dir, record) else None


def run_job(job: Job) -> Outcome:
    """Preprocess one recording (called in worker processes); see ``attempt``."""
    return attempt(lambda: _preprocess(job), job.out_dir, job.recording, job.stale)


def attempt(make: Callable[[], SequenceCounts], out_dir: Path, source: Path, stale: bool = False) -> Outcome:
    """Make a sequence; a mistake in what it is made of is an outcome, so that others go on.

    Args:
        make: makes the sequence.
        out_dir: its folder in the dataset.
        source: its recording, for messages.
        stale: a sequence is there that this one replaces: it goes if nothing is left of the recording, and stays if
            the recording is bad.

    Raises:
        UserError: nothing more can be written, so that going on with others is no use.
    """
    try:
        counts = make()
        if stale and counts.skipped is not None:
            discard(out_dir)
        return counts
    except UserError as error:
        return Failure(out_dir.name, error.expected, error.got, error.where, error.fix)
    except Exception as error:  # whatever a reader of a foreign format says of one file must not stop the others
        out_path = out_dir.parent.parent
        if isinstance(error, (OSError, RuntimeError)) and no_more_writing(error, out_path):  # HDF5 says the latter
            raise cannot_write(error, out_path) from error
        got, again = " ".join(str(error).split()), "check the disk, copy the file again"
        if not isinstance(error, OSError):
            log.debug("%s", source, exc_info=error)
            got = f"{type(error).__name__}: {got}"
        return Failure(out_dir.name, "files that can be read", got, str(source), again)


def _preprocess(job: Job) -> SequenceCounts:
    sources = Sources(job.recording, job.boxes)
    cfg, layout = job.cfg, layout_of(job.cfg.layout)
    context = BoxContext(cfg.class_map)
    boxes = read_raw_boxes(job.boxes, lambda path: layout.read_named_boxes(path, context)[0])
    kept, dropped = filter_and_count(boxes, cfg, job.split)
    if not cfg.all_windows and not len(kept):  # before a large file is opened
        return SequenceCounts(job.out_dir.name, raw_boxes=len(boxes), dropped=dropped, skipped=NO_LABEL)
    if _older_version_made(job):
        return _adopt(job, len(boxes), sources)
    recording = _open(job)
    boxes["t"] += layout.clock_us(recording)
    return preprocess_recording(recording, boxes, job.out_dir, cfg, job.split, sources, job.stale)


def _open(job: Job) -> Recording:
    return layout_of(job.cfg.layout).open(job.recording, job.cfg.sensor_hw)


def _paths(job: Job) -> SequencePaths:
    return SequencePaths(job.out_dir, job.cfg.representation.build().name, job.cfg.downsample_by_factor_2)


def _older_version_made(job: Job) -> bool:
    paths = _paths(job)
    return read_record(job.out_dir) is None and paths.labels_npz.is_file() and paths.h5.is_file()


def _adopt(job: Job, raw_boxes: int, sources: Sources) -> SequenceCounts:
    """Give a record to a sequence that an older version of this project finished without one."""
    labels, recording = read_labels(_paths(job)), _open(job)
    counts = SequenceCounts(
        name=job.out_dir.name,
        events=recording.num_events,
        frames=len(load_indices(_paths(job).frame_timestamps)),
        labelled_frames=len(labels),
        boxes=len(labels.boxes),
        raw_boxes=raw_boxes,
        repaired=count_repairs(recording),
    )
    write_record(job.out_dir, job.recording.name, job.cfg.settings(), counts, sources.sums())
    return counts
