"""The recordings of a raw folder, each with its boxes and its place in the dataset."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data.box_files.read import BoxContext
from data.events.recording import recording_name
from data.preprocessing.config import SPLITS, PreprocessConfig
from data.preprocessing.filters import refuse_unknown
from data.preprocessing.layouts.base import Found, Layout
from data.preprocessing.layouts.beside import recordings_below
from data.preprocessing.layouts.registry import layout_of
from utils.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One recording to preprocess; it and its boxes lie as ``cfg.layout`` says.

    ``stale``: a sequence of it is there that is to be replaced, as its files have changed since.
    """

    recording: Path
    boxes: Path
    out_dir: Path
    split: str
    cfg: PreprocessConfig
    stale: bool = False

    @cached_property
    def num_bytes(self) -> int:
        """Size of the recording, of all its files if it is a folder."""
        files = self.recording.rglob("*") if self.recording.is_dir() else [self.recording]
        return sum(path.stat().st_size for path in files)


def find_recordings(
    raw_path: Path | str, out_path: Path | str, cfg: PreprocessConfig, splits: Sequence[str] = SPLITS
) -> list[Job]:
    """Recordings that lie in a folder as ``cfg.layout`` says, with their boxes, sorted by split and then by path.

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
    layout = layout_of(cfg.layout)
    by_split = _by_split(layout, raw_path, cfg, splits)
    jobs: list[Job] = []
    for split in splits:
        found, folder = by_split.get(split), raw_path / split
        if found is None:
            log.warning("%s: no such folder, the split is left out", folder)
            continue
        if not found:
            fix = f"give recordings and boxes, or leave the split out (splits=[...] without {split})"
            raise _none(layout, folder, fix)
        _check(found, folder if folder.is_dir() else raw_path, cfg)
        jobs += [Job(each.recording, each.boxes, out_path / split / each.name, split, cfg) for each in found]
    if not jobs:
        wanted = ", ".join(str(raw_path / split) for split in splits)
        fix = f"give the folder that holds {', '.join(splits)} as raw_path (looked into {wanted})"
        raise _none(layout, raw_path, fix)
    return jobs


def _by_split(
    layout: Layout, raw_path: Path, cfg: PreprocessConfig, splits: Sequence[str]
) -> dict[str, list[Found] | None]:
    """What there is of each split, by its place and by the lists of the config; None: no place for the split."""
    listed = {name: split for split, names in cfg.recordings.items() for name in names}
    found = {split: layout.find(raw_path, split) for split in (SPLITS if listed else splits)}
    if not listed:
        return found
    every = [(split, each) for split, places in found.items() for each in places or []]
    missing = sorted(set(listed) - {each.name for _, each in every})
    if missing:
        log.warning("dataset.preprocessing.recordings: not in %s: %s", raw_path, ", ".join(missing))
    by_split = {split: [each for place, each in every if listed.get(each.name, place) == split] for split in found}
    return {split: mine if mine or found[split] is not None else None for split, mine in by_split.items()}


def recordings_in(folder: Path) -> dict[str, Path]:
    """Recordings of a folder and its sub-folders by name, sorted by path.

    Raises:
        UserError: two of one name.
    """
    return _by_name([(recording_name(path), path) for path in recordings_below(folder)], folder)


def _check(found: Sequence[Found], folder: Path, cfg: PreprocessConfig) -> None:
    """Refuse recordings of one name, and those without boxes unless they may have none."""
    _by_name([(each.name, each.recording) for each in found], folder)
    for each in found:
        path, boxes = each.recording, each.boxes
        if not boxes.exists() and not cfg.all_windows:
            beside = boxes.parent == path.parent
            raise UserError(
                expected=f"boxes beside {path.name}" if beside else f"boxes of {each.name}",
                got=f"no {boxes.name}" + (f" or {boxes.stem}.csv" if beside and boxes.suffix == ".npy" else ""),
                where=str(boxes.parent),
                fix="add the file (scripts/import_boxes.py makes it of other layouts), or set all_windows=true to keep "
                "recordings without labels",
            )


def _by_name(named: Sequence[tuple[str, Path]], folder: Path) -> dict[str, Path]:
    taken: dict[str, Path] = {}
    for name, path in named:
        if name in taken:
            pair = [str(one).removeprefix(f"{folder}/") for one in (taken[name], path)]
            raise UserError(
                expected="one recording per name",
                got=" and ".join(pair),
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
    if cfg.num_raw_classes is not None or cfg.num_classes is None or cfg.class_ids is not None:
        return
    layout, counts, unknown = layout_of(cfg.layout), Counter[int](), Counter[str]()
    context = BoxContext(cfg.class_map)
    for job in jobs:
        if job.boxes.is_file():
            with suppress(UserError):
                boxes, names = layout.read_named_boxes(job.boxes, context)
                ids, sizes = np.unique(boxes["class_id"], return_counts=True)
                for class_id, size in zip(ids.tolist(), sizes.tolist(), strict=True):
                    if len(cfg.classes) <= class_id < len(names):
                        unknown[names[class_id]] += size
                    else:
                        counts[class_id] += size
    if unknown:
        context.classes.refuse(unknown, f"the boxes of {len(jobs)} recordings")
    refuse_unknown(dict(counts), cfg.num_classes, f"{layout.box_files} of {len(jobs)} recordings", cfg.classes)


def _none(layout: Layout, where: Path, fix: str) -> UserError:
    return UserError(expected=layout.wanted, got="none", where=str(where), fix=fix)
