"""The recordings of a raw folder, each with its boxes and its place in the dataset."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.box_files.read import BESIDE, BoxContext, boxes_beside, read_named_boxes
from data.events.recording import recording_name
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.filters import refuse_unknown
from utils.errors import UserError

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
SUFFIXES = (".dat", ".raw", ".aedat4", ".h5", ".hdf5", ".npz", ".npy", ".csv")


@dataclass(frozen=True)
class Job:
    """One recording to preprocess."""

    recording: Path
    boxes: Path
    out_dir: Path
    split: str
    cfg: PreprocessConfig


def find_recordings(
    raw_path: Path | str, out_path: Path | str, cfg: PreprocessConfig, splits: Sequence[str] = SPLITS
) -> list[Job]:
    """Recordings of ``<raw_path>/<split>`` (subfolders too) with their boxes, sorted by split and name.

    Raises:
        UserError: no recording, an empty split, boxes that are missing, or two recordings of one name.
    """
    raw_path, out_path = Path(raw_path), Path(out_path)
    if raw_path.is_dir() and out_path.resolve() == raw_path.resolve():
        raise UserError(
            expected="another folder than that of the recordings",
            got=str(out_path),
            where="dataset.path",
            fix="give a folder of its own to the dataset",
        )
    jobs: list[Job] = []
    for split in splits:
        folder = raw_path / split
        if not folder.is_dir():
            log.warning("%s: no such folder, the split is left out", folder)
            continue
        found = [Job(path, boxes, out_path / split / name, split, cfg) for name, path, boxes in _pairs(folder, cfg)]
        if not found:
            raise _none(folder, f"give recordings and boxes, or leave the split out (splits=[...] without {split})")
        jobs += found
    if not jobs:
        wanted = ", ".join(str(raw_path / split) for split in splits)
        raise _none(raw_path, f"give the folder that holds {', '.join(splits)} as raw_path (looked into {wanted})")
    return jobs


def _pairs(folder: Path, cfg: PreprocessConfig) -> Iterator[tuple[str, Path, Path]]:
    """Name, recording and boxes (which may be missing if ``cfg.all_windows``)."""
    for name, path in recordings_in(folder).items():
        boxes = boxes_beside(path)
        if not boxes.is_file() and not cfg.all_windows:
            raise UserError(
                expected=f"boxes beside {path.name}",
                got=f"no {name}_bbox.npy or {name}_bbox.csv",
                where=str(path.parent),
                fix="add the file (scripts/import_boxes.py makes it of other layouts), or set all_windows=true to keep "
                "recordings without labels",
            )
        yield name, path, boxes


def recordings_in(folder: Path) -> dict[str, Path]:
    """Recordings of a folder and its sub-folders by name, sorted by path.

    Raises:
        UserError: two of one name.
    """
    taken: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.lower().endswith(BESIDE) or not path.is_file():
            continue
        name = recording_name(path)
        if name in taken:
            raise UserError(
                expected="one recording per name",
                got=f"{taken[name].relative_to(folder)} and {path.relative_to(folder)}",
                where=str(folder),
                fix="rename or remove one of them",
            )
        taken[name] = path
    return taken


def check_classes(jobs: Sequence[Job], cfg: PreprocessConfig) -> None:
    """Refuse class ids without a name before anything is made; box files that cannot be read are reported later.

    Raises:
        UserError: which ids there are in all box files, and how many boxes of each.
    """
    if cfg.num_raw_classes is not None or cfg.num_classes is None:
        return
    counts: Counter[int] = Counter()
    unknown: Counter[str] = Counter()
    context = BoxContext(cfg.class_map)
    for job in jobs:
        if job.boxes.is_file():
            with suppress(UserError):
                boxes, names = read_named_boxes(job.boxes, context)
                ids, sizes = np.unique(boxes["class_id"], return_counts=True)
                for class_id, size in zip(ids.tolist(), sizes.tolist(), strict=True):
                    if len(cfg.classes) <= class_id < len(names):
                        unknown[names[class_id]] += size
                    else:
                        counts[class_id] += size
    if unknown:
        context.classes.refuse(unknown, f"the boxes of {len(jobs)} recordings")
    refuse_unknown(dict(counts), cfg.num_classes, f"*_bbox.npy (or .csv) of {len(jobs)} recordings")


def _none(where: Path, fix: str) -> UserError:
    endings = ", ".join("*" + suffix for suffix in SUFFIXES)
    return UserError(expected=f"recordings ({endings})", got="none", where=str(where), fix=fix)
