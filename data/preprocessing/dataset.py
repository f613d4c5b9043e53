"""All recordings of a raw folder, in several processes, each sequence whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.preprocessing.config import PreprocessConfig
from data.preprocessing.folder import cannot_write, exclusive, refuse_links, refuse_others
from data.preprocessing.job import Failure, Outcome, finished, run_job
from data.preprocessing.manifest import MANIFEST, check_settings, refuse_in_two_splits, write_manifest
from data.preprocessing.pool import run_jobs
from data.preprocessing.recordings import SPLITS, Job, check_classes, find_recordings
from data.preprocessing.shards import Shard
from data.preprocessing.stale import refuse_stale, without_recording
from data.sequences.account import account_of, account_table, loss_warning
from data.sequences.record import SequenceCounts
from utils.errors import UserError
from utils.progress import track

log = logging.getLogger(__name__)

_MOST_NAMED = 3


def preprocess_dataset(
    raw_path: Path | str,
    out_path: Path | str,
    cfg: PreprocessConfig,
    num_workers: int | None = 0,
    splits: Sequence[str] = SPLITS,
    refresh: bool = False,
    shard: Shard | None = None,
) -> dict[str, list[SequenceCounts]]:
    """Preprocess the recordings of a raw folder, with their boxes, into ``<out_path>/<split>/<name>``.

    ``cfg.layout`` says where they lie, usually ``<raw_path>/<split>/<name>_td.dat`` with ``<name>_bbox.npy``.
    Recordings may be of any format that ``open_recording`` reads. Finished sequences are kept, so the same call goes
    on where it was stopped or killed, and ends with the same bytes. ``<out_path>/manifest.json`` says at the end how
    all was made. A bad recording does not hold up the others; it is reported when they are done.

    Args:
        raw_path: folder of the recordings.
        out_path: the dataset's folder.
        cfg: how.
        num_workers: processes; 0 and 1 stay in this one; None: one per core.
        splits: which of train, val, test; those that ``raw_path`` lacks are left out.
        refresh: make finished sequences again whose recording or boxes have changed since, and remove those whose
            recording is gone.
        shard: make a share of the sequences and no manifest.

    Returns:
        Counts of every sequence, by split, sorted by name.

    Raises:
        UserError: nothing to do, unknown classes, bad recordings or boxes, nothing left of any recording, other
            settings than before, recordings that have changed since, one recording in two splits, or no room.
    """
    jobs, out_path = find_recordings(raw_path, out_path, cfg, splits), Path(out_path)
    jobs.sort(key=lambda job: (-job.num_bytes, job.split, job.out_dir.name))  # the longest first
    mine = jobs if shard is None else shard.of(jobs)
    wanted = {split: [job.out_dir.name for job in jobs if job.split == split] for split in splits}
    size = sum(job.num_bytes for job in mine)
    results: list[tuple[Job, Outcome]] = []
    refuse_links(out_path, (job.split for job in jobs))
    refuse_others(job.out_dir for job in mine)
    with exclusive(out_path) if shard is None else shard.hold(out_path, [job.out_dir for job in mine]):
        check_settings(out_path, cfg.settings())
        check_classes(jobs, cfg)
        stale = refuse_stale(((job.out_dir, (job.recording, job.boxes)) for job in mine), refresh)
        jobs = [replace(job, stale=job.out_dir in stale) for job in mine]
        bar = track(
            _run(jobs, num_workers),
            total=size,
            desc="preprocessing",
            unit="B",
            amount=lambda result: result[0].num_bytes,
        )
        for job, outcome in bar:
            if isinstance(outcome, Failure):
                stays = "; the sequence that was made before stays" if job.stale else ""
                log.error("%s/%s: %s%s", job.split, outcome.name, outcome.reason, stays)
            results.append((job, outcome))
        outcomes = [(job.split, outcome) for job, outcome in results]
        alone = None
        if shard is None:
            alone = without_recording(out_path, {split: names for split, names in wanted.items() if names}, refresh)
        report = finish(outcomes, out_path, cfg.settings(), str(raw_path), shard, alone)
        if shard is None:
            refuse_in_two_splits(out_path)
        return report


def _run(jobs: list[Job], num_workers: int | None) -> Iterator[tuple[Job, Outcome]]:
    todo: list[Job] = []
    for job in jobs:  # what is finished needs no process
        counts = finished(job)
        if counts is None:
            todo.append(job)
        else:
            yield job, counts
    yield from run_jobs(run_job, todo, num_workers)


def finish(
    outcomes: Sequence[tuple[str, Outcome]],
    out_path: Path,
    settings: dict[str, Any],
    source: str,
    shard: Shard | None = None,
    alone: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[SequenceCounts]]:
    """Write the manifest, if this is all of the dataset, and sum up.

    Args:
        outcomes: split and outcome of every recording.
        out_path: the dataset's folder, held by this run.
        settings: of this run.
        source: where the recordings are, for messages.
        shard: the share that was made, if it was one.
        alone: by split, sequences without a recording.

    Returns:
        Counts of every sequence, by split, sorted by name.

    Raises:
        UserError: recordings failed, or nothing at all is left.
    """
    present = [split for split in SPLITS if any(split == mine for mine, _ in outcomes)]
    report: dict[str, list[SequenceCounts]] = {}
    failed: dict[str, dict[str, Failure]] = {}
    for split in present:
        mine = sorted((outcome for s, outcome in outcomes if s == split), key=lambda outcome: outcome.name)
        report[split] = [outcome for outcome in mine if isinstance(outcome, SequenceCounts)]
        failed[split] = {outcome.name: outcome for outcome in mine if isinstance(outcome, Failure)}
        if report[split]:  # else all have failed, and that is told
            log_summary(split, report[split])
    log_account(report, settings)
    left_out = {split: [row for row in report[split] if row.skipped] for split in present}
    reasons = {split: {name: failure.reason for name, failure in failed[split].items()} for split in present}
    if shard is None:
        try:
            write_manifest(out_path, settings, left_out, reasons, alone)
        except OSError as error:
            raise cannot_write(error, out_path) from error
    rows = [row for split in present for row in report[split]]
    failures = {f"{split}/{name}": failure for split in present for name, failure in failed[split].items()}
    if failures:
        raise _bad_recordings(failures, sum(row.skipped is None for row in rows))
    if shard is not None:
        log.info(
            "share %d of %d is done; after all of them the same command without shard=... writes %s",
            shard.number,
            shard.count,
            MANIFEST,
        )
        return report
    _raise_if_nothing(rows, source)
    if (out_path / MANIFEST).exists():
        log.info("%s: settings, counts and checksums of everything", out_path / MANIFEST)
    return report


def _bad_recordings(failures: dict[str, Failure], good: int) -> UserError:
    """One error for all bad recordings: the whole of it if there is one, else the first by name; each has its line."""
    again = f"then start the same command again; finished sequences are kept ({good})"
    if len(failures) == 1:
        (failure,) = failures.values()
        return UserError(expected=failure.expected, got=failure.got, where=failure.where, fix=f"{failure.fix}, {again}")
    fixes = {failure.fix for failure in failures.values()}
    names = ", ".join(list(failures)[:_MOST_NAMED]) + ", ..." * (len(failures) > _MOST_NAMED)
    return UserError(
        expected="sound recordings and boxes",
        got=f"{len(failures)} bad ones: {names}; see the lines above",
        where="raw_path",
        fix=f"{fixes.pop() if len(fixes) == 1 else 'correct or remove these'}, {again}",
    )


def _raise_if_nothing(rows: list[SequenceCounts], source: str) -> None:
    if any(row.skipped is None for row in rows):
        return
    account = account_of(rows)
    raise UserError(
        expected="at least one recording with a box that is kept",
        got=f"none of {account.read} boxes in {len(rows)} recordings is kept ({account.words()})",
        where=source,
        fix="check dataset.classes, dataset.sensor_hw and dataset.preprocessing, "
        "or set all_windows=true to keep recordings without labels",
    )


def log_account(report: dict[str, list[SequenceCounts]], settings: dict[str, Any]) -> None:
    """Log what became of every box that was read, and warn if many are lost; with the setting that decides it."""
    for line in account_table({split: account_of(rows) for split, rows in report.items() if rows}):
        log.info("%s", line)
    for split, rows in report.items():
        warning = loss_warning(split, rows, settings["align_t_ms"])
        if warning:
            log.warning("%s", warning)


def log_summary(split: str, rows: list[SequenceCounts]) -> None:
    """Log what became of a split's recordings, and which were left out and why."""
    kept = [row for row in rows if row.skipped is None]
    log.info(
        "%s: %d sequences, %d events, %d frames, %d labelled frames, %d of %d boxes kept",
        split,
        len(kept),
        sum(row.events for row in kept),
        sum(row.frames for row in kept),
        sum(row.labelled_frames for row in kept),
        sum(row.boxes for row in kept),
        sum(row.raw_boxes for row in rows),
    )
    for row in rows:
        if row.skipped is not None:
            log.info("%s: %s left out: %s", split, row.name, row.skipped)
