"""The manifest of a dataset: its settings, what every sequence holds, and the checksum of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.preprocessing.recordings import SPLITS
from data.sequences.record import RECORD_FILE, RECORD_KIND, SequenceCounts, file_sum, read_record
from utils.atomic import write_text
from utils.differences import differences
from utils.errors import UserError
from utils.json_files import read_json

MANIFEST = "manifest.json"
OLDER_SETTINGS = "preprocessing.json"
"""Where an older version of this project kept the settings."""

_FORMAT = {"format": "preprocessed dataset", "version": 1}
_SEQUENCE = {key: kind for key, kind in RECORD_KIND.items() if key != "settings?"}
_KIND = {
    "format": str,
    "settings?": {},
    "splits?": {
        ...: {
            "sequences": {...: _SEQUENCE},
            "left_out?": {},
            "left_out_boxes?": {...: {"raw_boxes": int, "dropped": {...: int}}},
            "failed": {},
            "without_recording?": [str],
        }
    },
}
OF_LATER = ("classes",)
"""Settings that the first versions did not write down; without them a dataset is taken as it is."""
_HOISTED = ("format", "version", "settings", "made_with")


def write_manifest(
    out_path: Path,
    settings: dict[str, Any],
    left_out: Mapping[str, Sequence[SequenceCounts]],
    failed: Mapping[str, Mapping[str, str]],
    alone: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write ``manifest.json`` from the records of all sequences, whatever runs they come from.

    Args:
        out_path: the dataset's folder.
        settings: of all its sequences.
        left_out: by split, the recordings of which there is nothing to make; splits that are not given here stay as
            the last manifest has them.
        failed: reasons by split and recording for those that could not be read.
        alone: by split, sequences without a recording; splits that are not given stay as with ``left_out``.
    """
    before = read_manifest(out_path) or {}
    splits: dict[str, Any] = {}
    made_with: list[dict[str, str]] = []
    for split in SPLITS:
        old = before.get("splits", {}).get(split, {})
        sequences = {}
        for root in sequence_folders(out_path / split):
            record = read_record(root)
            if record is None:
                continue
            sequences[root.name] = {key: value for key, value in record.items() if key not in _HOISTED}
            sequences[root.name]["files"] = {RECORD_FILE: file_sum(root / RECORD_FILE), **record["files"]}
            if record.get("made_with") not in made_with:
                made_with.append(record["made_with"])
        entry = {
            "totals": _totals(sequences),
            "sequences": sequences,
            **_left_out(left_out.get(split), old),
            "failed": dict(sorted(failed.get(split, old.get("failed", {})).items())),
        }
        names: Sequence[str] = alone[split] if alone and split in alone else old.get("without_recording", [])
        if lone := [name for name in names if (out_path / split / name).is_dir()]:
            entry["without_recording"] = lone
        if any(entry[key] for key in ("sequences", "left_out", "failed")):
            splits[split] = entry
    made_with.sort(key=lambda entry: json.dumps(entry, sort_keys=True))
    value = {**_FORMAT, "settings": settings, "made_with": made_with, "splits": splits}
    if any(entry["sequences"] for entry in splits.values()):
        write_text(out_path / MANIFEST, manifest_text(value))
        (out_path / OLDER_SETTINGS).unlink(missing_ok=True)


def _left_out(rows: Sequence[SequenceCounts] | None, old: Mapping[str, Any]) -> dict[str, Any]:
    """Why recordings were left out, and what became of their boxes."""
    if rows is None:
        return {"left_out": old.get("left_out", {}), "left_out_boxes": old.get("left_out_boxes", {})}
    rows = sorted(rows, key=lambda row: row.name)
    return {
        "left_out": {row.name: row.skipped for row in rows},
        "left_out_boxes": {row.name: {"raw_boxes": row.raw_boxes, "dropped": row.dropped} for row in rows},
    }


def manifest_text(value: dict[str, Any]) -> str:
    """The one text of a manifest; ``sha256`` at its end is of everything before it."""
    content = {key: entry for key, entry in value.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(content, indent=2).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}, indent=2) + "\n"


def read_manifest(out_path: Path) -> dict[str, Any] | None:
    """The manifest of a dataset, or None without one.

    Raises:
        UserError: the file is no manifest.
    """
    path = out_path / MANIFEST
    if not path.exists():
        return None
    words = {
        "expected": "the manifest of a preprocessed dataset",
        "fix": "remove this file and start the preprocessing again: it is made anew from the sequences",
    }
    value = read_json(path, _KIND, **words)
    if value["format"] != _FORMAT["format"]:
        raise UserError(got="something else", where=str(path), **words)
    return value


def sequence_folders(split_dir: Path) -> list[Path]:
    """Sequence folders of a split that lies here, sorted; none for a split that is a link or missing."""
    if split_dir.is_symlink() or not split_dir.is_dir():
        return []
    return sorted(path for path in split_dir.iterdir() if path.is_dir() and not path.name.startswith("."))


def _totals(sequences: dict[str, Any]) -> dict[str, int]:
    keys = ("events", "frames", "labelled_frames", "boxes", "raw_boxes")
    sums = {key: sum(entry["counts"][key] for entry in sequences.values()) for key in keys}
    return {"sequences": len(sequences), **sums}


def settings_of_folder(out_path: Path) -> tuple[Path, dict[str, Any]] | None:
    """Settings with which the sequences of a folder were made, and the file that says so; None: there are none."""
    manifest = read_manifest(out_path)
    if manifest is not None:
        return out_path / MANIFEST, manifest.get("settings", {})
    roots = [root for split in SPLITS for root in sequence_folders(out_path / split)]
    older = out_path / OLDER_SETTINGS
    if roots and older.is_file():
        fix = "remove this file and preprocess into another folder"
        return older, read_json(older, {}, expected="the settings of this folder", fix=fix)
    for root in roots:
        record = read_record(root)
        if record is not None:
            return root / RECORD_FILE, record.get("settings", {})
    return None


def in_two_splits(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Sequences whose recording has the content of one in another split, each with the first of these."""
    first: dict[Any, tuple[str, str]] = {}
    found: dict[str, str] = {}
    for split, entry in manifest.get("splits", {}).items():
        for name, sequence in entry["sequences"].items():
            sums = _recording_sums(sequence)
            where, known = first.setdefault(sums, (split, name)) if sums else (split, name)
            if where != split:
                found[f"{split}/{name}"] = f"{where}/{known}"
    return found


def _recording_sums(sequence: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Checksums of a recording's files by their place in it; empty where the record does not say."""
    source = sequence.get("source", "")
    files = sequence.get("made_from", {}).items()
    mine = (
        (name.removeprefix(source), facts["sha256"]) for name, facts in files if f"{name}/".startswith(f"{source}/")
    )
    return tuple(sorted(mine))


def refuse_in_two_splits(out_path: Path) -> None:
    """Refuse a dataset that has one recording in two splits: what is measured on one is learnt from the other.

    Raises:
        UserError: which sequences these are.
    """
    twice = [f"{name} and {other}" for name, other in in_two_splits(read_manifest(out_path) or {}).items()]
    if twice:
        raise UserError(
            expected="each recording in one split",
            got=f"the same content in two: {', '.join(twice[:5])}" + f" and {len(twice) - 5} more" * (len(twice) > 5),
            where=str(out_path / MANIFEST),
            fix="leave each recording in one split of raw_path, then the same command with --refresh, which removes "
            "sequences without a recording",
        )


def check_settings(out_path: Path, settings: dict[str, Any]) -> None:
    """Refuse to add to a folder whose sequences were made with other settings.

    Raises:
        UserError: which keys differ.
    """
    found = settings_of_folder(out_path)
    published = {"label_times": "rvt"}  # what a record means that does not name the rule
    settings = {
        key: value for key, value in settings.items() if found is None or key in found[1] or key not in OF_LATER
    }
    changed = [] if found is None else list(differences(published | found[1], published | settings))
    if found is not None and changed:
        raise UserError(
            expected="the settings with which this folder was begun",
            got="; ".join(changed),
            where=str(found[0]),
            fix="give these, or another dataset.path, or delete the folder to start anew",
        )
