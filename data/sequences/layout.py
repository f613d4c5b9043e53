"""The dataset layout on disk: where a sequence's files lie, and the one reader and one writer of them.

The layout is RVT's (CVPR 2023), so that preprocessed Gen1 and 1Mpx folders work unchanged::

    <sequence>/event_representations_v2/<ev_repr_name>/event_representations[_ds2_nearest].h5   'data' [T,C,H,W]
                                                      /events.h5                                events, if they are kept
                                                      /objframe_idx_2_repr_idx.npy              int64 [F]
                                                      /timestamps_us.npy                        int64 [T]
              /labels_v2/labels.npz                   'labels' [N], 'objframe_idx_2_label_idx' int64 [F]
                        /timestamps_us.npy            int64 [F]
"""

from __future__ import annotations

from pathlib import Path

from data.payloads.frame_reader import FrameReader
from data.sequences.stored_labels import EV_DIR, LABEL_DIR, SequencePaths, StoredLabels, read_labels
from data.sequences.writer import SequenceWriter, write_label_sequence
from utils.errors import UserError

__all__ = [
    "EV_DIR",
    "LABEL_DIR",
    "FrameReader",
    "SequencePaths",
    "SequenceWriter",
    "StoredLabels",
    "list_sequences",
    "read_labels",
    "write_label_sequence",
]


def list_sequences(split_dir: Path | str) -> list[Path]:
    """Sequence folders of a split, sorted by name; links are followed, hidden (unfinished) folders left out.

    Raises:
        UserError: there is no such folder.
    """
    split_dir = Path(split_dir)
    if not split_dir.is_dir():
        raise UserError(
            expected="a folder of sequences",
            got="no such folder",
            where=str(split_dir),
            fix="check dataset.path: it must hold train, val and test",
        )
    return sorted(path for path in split_dir.iterdir() if path.is_dir() and not path.name.startswith("."))
