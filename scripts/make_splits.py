"""Weak and semi splits of a dataset's labels as JSON: ``python scripts/make_splits.py --help``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omegaconf import DictConfig

from config.resolvers import register_resolvers
from data.supervision.rules import read_split
from data.supervision.split_files import (
    LabelledFrames,
    Split,
    differences,
    read_labelled_frames,
    semi_split,
    split_text,
    weak_split,
    write_split,
)
from utils.atomic import refuse_taken
from utils.commands.cli import hydra_entry
from utils.commands.run_lock import RunLock
from utils.errors import UserError
from utils.settings import number, plain, whole

log = logging.getLogger(__name__)
register_resolvers()


def make_split(frames: list[LabelledFrames], dataset: Mapping[str, Any], offset: int) -> Split:
    """The split that ``dataset.ratio`` (weak) or ``dataset.train_ratio`` (semi) stands for.

    Raises:
        UserError: neither or both are given, or a number is out of range.
    """
    weak, semi = dataset["ratio"], dataset["train_ratio"]
    if (weak is None) == (semi is None):
        raise UserError(
            expected="one of dataset.ratio (weak) and dataset.train_ratio (semi)",
            got="neither" if weak is None else f"both: {weak} and {semi}",
            where=f"dataset={dataset['name']}",
            fix="add dataset.ratio=0.01, or choose a dataset with a share in its name, e.g. dataset=gen1x0.01_ss",
        )
    if semi is not None:
        return semi_split([f.name for f in frames], number(semi, "dataset.train_ratio", most=1), offset)
    return weak_split(frames, number(weak, "dataset.ratio", most=1), int(dataset["sequence_length"]), offset)


def describe(split: Split, frames: list[LabelledFrames]) -> str:
    """What is kept, in words."""
    kept = [f for f in frames if f.name in split]
    weak = {} if isinstance(split, list) else split
    everything = {f.name: list(range(len(f.repr_idx))) for f in kept}
    indices = {name: all_of_it if (some := weak.get(name)) is None else some for name, all_of_it in everything.items()}
    labelled, total = sum(map(len, indices.values())), sum(len(f.repr_idx) for f in frames)
    boxes, all_boxes = sum(int(f.boxes[indices[f.name]].sum()) for f in kept), sum(int(f.boxes.sum()) for f in frames)
    return (
        f"{sum(map(bool, indices.values()))} of {len(frames)} sequences, {labelled} of {total} labelled frames "
        f"({100 * labelled / max(total, 1):.2f} %), {boxes} of {all_boxes} boxes"
    )


def compare(split: Split, path: Path) -> None:
    """Check that a split equals that of a file.

    Raises:
        UserError: they differ; the message names the first sequences that do.
    """
    different = differences(split, read_split(path))
    if different:
        raise UserError(
            expected=f"the split of {path}",
            got=f"{len(different)} of {len(split)} sequences differ: {', '.join(different[:3])}, ...",
            where="dataset.path, dataset.ratio, dataset.sequence_length or offset",
            fix="check these keys; a dataset preprocessed in another way has other frames, then set "
            "dataset.split_file to a file of its own",
        )
    log.info("equal to %s", path)


@hydra_entry("make_splits")
def main(cfg: DictConfig) -> None:
    """Make a split of ``dataset.path``, write it and compare it, as asked for."""
    if cfg.output is None and cfg.compare is None:
        raise UserError(
            expected="a file to write or to compare with", got="neither", where="output", fix="add output=FILE.json"
        )
    dataset = plain(cfg.dataset)
    frames = read_labelled_frames(
        Path(dataset["path"]) / "train", dataset["representation"]["name"], bool(dataset["downsample_by_factor_2"])
    )
    split = make_split(frames, dataset, whole(cfg.offset, "offset", 0))
    if cfg.output is not None:
        refuse_taken(Path(cfg.output), "output", split_text(split))
    log.info("%s", describe(split, frames))
    if cfg.compare is not None:
        compare(split, Path(cfg.compare))
    if cfg.output is not None:
        path = Path(cfg.output)
        with RunLock(path.parent, "output", f".{path.name}.lock"):
            write_split(path, split)
        log.info("wrote %s", cfg.output)


if __name__ == "__main__":
    main()
