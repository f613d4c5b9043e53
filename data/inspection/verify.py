"""Check a dataset: against its manifest, byte for byte, or by its structure where there is none (RVT's folders)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.inspection.config import Expectation
from data.inspection.sequence import inspect_sequence
from data.preprocessing.config import OF_OTHER_TIMES, PreprocessConfig
from data.preprocessing.manifest import (
    MANIFEST,
    OF_LATER,
    in_two_splits,
    manifest_text,
    read_manifest,
    sequence_folders,
)
from data.preprocessing.pool import run_jobs
from data.preprocessing.recordings import SPLITS
from data.sequences.record import file_sum, files_below
from utils.commands.run_lock import LOCK
from utils.differences import differences
from utils.errors import UserError
from utils.progress import track

log = logging.getLogger(__name__)

_MOST_SHOWN = 10


def verify_dataset(out_path: Path | str, cfg: PreprocessConfig, num_workers: int | None = 0) -> dict[str, int]:
    """Check every file of a dataset.

    With a manifest: every file must be there with its checksum, no other file may be, the settings must be those of
    ``cfg``, and the manifest must be as it was written. Without one: every sequence must be readable to its last frame
    and consistent in itself, and its frames must be of the size, channels and type of ``cfg``.

    Args:
        out_path: the dataset's folder.
        cfg: how it should have been made.
        num_workers: processes; 0 and 1 stay in this one; None: one per core.

    Returns:
        Number of sequences that were checked, by split.

    Raises:
        UserError: there is nothing to check, or what is wrong, file by file.
    """
    out_path = Path(out_path)
    if not out_path.is_dir():
        raise UserError(
            expected="a dataset's folder", got="no such folder", where=str(out_path), fix="give it as dataset.path"
        )
    manifest = read_manifest(out_path)
    if manifest is None:
        log.info("%s: there is none, so the structure is checked", out_path / MANIFEST)
        counts, problems = _by_structure(out_path, cfg, num_workers)
    else:
        counts, problems = _by_manifest(out_path, manifest, cfg, num_workers)
    if problems:
        more = len(problems) - _MOST_SHOWN
        raise UserError(
            expected="a whole dataset as it was made",
            got=f"{len(problems)} problem{'s' * (len(problems) > 1)}: "
            + " | ".join(problems[:_MOST_SHOWN])
            + f" | and {more} more" * (more > 0),
            where=str(out_path),
            fix="remove the sequences concerned and start the preprocessing again: it makes what is missing",
        )
    for split, count in counts.items():
        log.info("%s: %d sequences are as they should be", split, count)
    return counts


def _by_manifest(
    out_path: Path, manifest: dict[str, Any], cfg: PreprocessConfig, num_workers: int | None
) -> tuple[dict[str, int], list[str]]:
    problems = list(_manifest_problems(out_path, manifest, cfg))
    expected: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for split, entry in manifest.get("splits", {}).items():
        counts[split] = len(entry["sequences"])
        for name, sequence in entry["sequences"].items():
            expected |= {f"{split}/{name}/{file}": facts for file, facts in sequence["files"].items()}
    present = {name for name in files_below(out_path) if not _is_link_of_split(out_path, name)} - {MANIFEST, LOCK}
    problems += [f"{name}: missing" for name in sorted(set(expected) - present)]
    problems += [f"{name}: not in the manifest" for name in sorted(present - set(expected))]
    both = sorted(present & set(expected))
    jobs = [(out_path / name, name, expected[name]) for name in both]
    bar = track(
        run_jobs(_check_file, jobs, num_workers),
        total=sum(expected[name]["bytes"] for name in both),
        desc="checking",
        unit="B",
        amount=lambda result: result[0][2]["bytes"],
    )
    problems += sorted(problem for _, problem in bar if problem)
    return counts, problems


def _is_link_of_split(out_path: Path, name: str) -> bool:
    """A split that is a link to another (``scripts/import_pedro.py`` makes such)."""
    return name in SPLITS and (out_path / name).is_symlink()


def _manifest_problems(out_path: Path, manifest: dict[str, Any], cfg: PreprocessConfig) -> Iterator[str]:
    if (out_path / MANIFEST).read_text(encoding="utf-8") != manifest_text(manifest):
        yield f"{MANIFEST}: changed since it was written"
    settings, not_noted = manifest.get("settings", {}), (*OF_OTHER_TIMES, *OF_LATER)
    wanted = {key: value for key, value in cfg.settings().items() if key in settings or key not in not_noted}
    for difference in differences({key: settings.get(key) for key in wanted}, wanted):
        yield f"setting {difference} in {MANIFEST}"
    for split, entry in manifest.get("splits", {}).items():
        for name, reason in entry["failed"].items():
            yield f"{split}/{name}: was not made: {reason}"
        for name in entry.get("without_recording", []):
            log.warning("%s/%s: raw_path had no recording of it any more", split, name)
    for name, other in in_two_splits(manifest).items():
        yield f"{name}: of the same recording as {other}"


def _check_file(job: tuple[Path, str, dict[str, Any]]) -> str | None:
    path, name, expected = job
    try:
        found = file_sum(path)
    except OSError as error:
        return f"{name}: unreadable ({error})"
    if found["bytes"] != expected["bytes"]:
        return f"{name}: {found['bytes']} bytes instead of {expected['bytes']}"
    return None if found == expected else f"{name}: other content than when it was written (checksum)"


def _by_structure(out_path: Path, cfg: PreprocessConfig, num_workers: int | None) -> tuple[dict[str, int], list[str]]:
    representation, limit = cfg.representation.build(), cfg.num_raw_classes or cfg.num_classes
    expected = Expectation(
        path=out_path,
        ev_repr_name=representation.name,
        downsampled=cfg.downsample_by_factor_2,
        sensor_hw=cfg.sensor_hw,
        channels=representation.channels,
        dtype=str(representation.dtype),
        classes=None if limit is None else tuple(f"class {i}" for i in range(limit)),
        frames_read=None,
    )
    roots = {split: sequence_folders((out_path / split).resolve()) for split in SPLITS}
    jobs = [(root, expected, split) for split in SPLITS for root in roots[split]]
    if not jobs:
        raise UserError(
            expected="sequences in train, val or test",
            got="none",
            where=str(out_path),
            fix="give the dataset's folder as dataset.path",
        )
    bar = track(run_jobs(_inspect, jobs, num_workers), total=len(jobs), desc="checking", unit="sequence")
    problems = sorted(problem for _, found in bar for problem in found)
    problems += [
        f"{path.relative_to(out_path)}: unfinished"
        for path in sorted((*out_path.glob(".*.tmp-*"), *out_path.glob("*/.*.tmp-*")))
    ]
    return {split: len(folders) for split, folders in roots.items() if folders}, problems


def _inspect(job: tuple[Path, Expectation, str]) -> list[str]:
    root, expected, split = job
    findings = inspect_sequence(root, expected, split).findings
    return [f"{finding.where}: {finding.kind} ({finding.detail})" for finding in findings if finding.wrong]
