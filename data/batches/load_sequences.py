"""The sequences of a split, with the labels that training may use."""

from __future__ import annotations

import logging
from pathlib import Path

from data.batches.config import DataModuleConfig
from data.payloads.frame_reader import UnreadableFrames
from data.sequences.layout import SequencePaths, list_sequences
from data.sequences.record import check_size
from data.sequences.sequence import EventSequence
from data.supervision.rules import evenly_spread, hide_by_file, hide_sequences, hide_weakly
from utils.errors import UserError

logger = logging.getLogger(__name__)


def load_sequences(cfg: DataModuleConfig, split: str) -> list[EventSequence]:
    """Sequences of a split with their labels in memory, sorted by name; frames are read later.

    Args:
        cfg: where they are, and which labels of the training split are hidden.
        split: train, val or test.

    Raises:
        UserError: the split is missing or empty, or a sequence is incomplete.
    """
    folder = Path(cfg.path) / split
    paths = [SequencePaths(p, cfg.ev_repr_name, cfg.downsample_by_factor_2) for p in list_sequences(folder)]
    if not paths:
        raise UserError(
            expected="sequence folders",
            got="none",
            where=str(folder),
            fix="preprocess the data, or set dataset.path",
        )
    if split != "train" and cfg.eval_ratio is not None:
        paths = [paths[index] for index in evenly_spread(len(paths), cfg.eval_ratio)]
    for path in paths:
        path.check()
        if cfg.payload is not None and cfg.on_bad_sequence != "skip":
            store = getattr(path, cfg.payload.file)
            len(cfg.payload.open(store))  # frames that lack their events are told at once
            check_size(store)
    sequences = [EventSequence(path, cfg.sensor_hw, payload=cfg.payload) for path in paths]
    if split == "train":
        if cfg.on_bad_sequence == "skip":
            _measure(sequences)
        _hide(cfg, sequences)
    labelled = sum(int(sequence.visible.sum()) for sequence in sequences)
    logger.info("%s: %d sequences, %d labelled frames", split, len(sequences), labelled)
    return sequences


def _measure(sequences: list[EventSequence]) -> None:
    """Let the plan take lengths from the frame times where the frames cannot be read: it stays the same plan."""
    for sequence in sequences:
        try:
            sequence.num_frames  # noqa: B018 (read once and kept)
        except UnreadableFrames as error:
            logger.warning("its samples will be left out\n%s", error)
            sequence.num_frames = sequence.num_frame_times


def _hide(cfg: DataModuleConfig, sequences: list[EventSequence]) -> None:
    if cfg.split_file is not None:
        hide_by_file(sequences, cfg.split_file)
    elif cfg.ratio is not None:
        hide_weakly(sequences, cfg.ratio, cfg.sequence_length, cfg.ratio_offset)
    elif cfg.train_ratio is not None:
        hide_sequences(sequences, cfg.train_ratio)
