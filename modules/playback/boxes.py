"""Boxes to show during playback: stored labels by time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.box_files.read import BoxContext, boxes_beside, read_named_boxes
from data.sequences.layout import EV_DIR, LABEL_DIR, FrameReader, read_labels
from modules.playback.sequence import find_representation, sequence_paths, sequence_times
from modules.playback.sources import Int64Array
from utils.boxes import IGNORE_LABEL, LEFT_OUT_CLASS, class_name
from utils.errors import UserError
from utils.pictures.boxes import BoxKind, DrawnBox

_FADED = 0.35
"""Strength of a label at the end of the time it is held."""


@dataclass(frozen=True)
class LabelTrack:
    """Stored boxes ordered by time.

    Attributes:
        times_us: int64 [F], time of each labelled frame, ascending.
        frames: boxes of each, ``BBOX_DTYPE`` [n], camera pixels.
        pseudo: rows with t = 0 are pseudo labels (LEOD); raw box files hold ground truth only.
        names: of the classes by id, as far as the file or those who read it have any.
    """

    times_us: Int64Array
    frames: list[npt.NDArray[Any]]
    pseudo: bool
    names: tuple[str, ...] = ()

    @property
    def num_boxes(self) -> int:
        """Boxes in all frames."""
        return sum(len(frame) for frame in self.frames)

    def chosen(self, min_score: float = 0.0, only: Collection[int] | None = None) -> LabelTrack:
        """With the boxes of these classes alone (None: all), and without pseudo labels of a smaller score."""
        return replace(self, frames=[frame[self._passes(frame, min_score, only)] for frame in self.frames])

    def _passes(self, frame: npt.NDArray[Any], min_score: float, only: Collection[int] | None) -> npt.NDArray[np.bool_]:
        score = frame["class_confidence"] * frame["objectness"]
        passes = (score >= min_score) | ((frame["t"] != 0) if self.pseudo else True)
        return passes if only is None else passes & np.isin(frame["class_id"], list(only))

    def kinds(self) -> list[BoxKind]:
        """Looks that occur, in the order of the legend."""
        found = {self._kind(box) for frame in self.frames for box in frame}
        return [kind for kind in BoxKind if kind in found]

    def _kind(self, box: Any) -> BoxKind:
        if box["class_id"] == IGNORE_LABEL:
            return BoxKind.IGNORED
        return BoxKind.PSEUDO if self.pseudo and box["t"] == 0 else BoxKind.TRUTH

    def at(self, end_us: int, window_us: float, hold_us: float, names: Sequence[str]) -> list[DrawnBox]:
        """The newest labels at ``end_us``, in camera pixels.

        Args:
            end_us: end of the window shown.
            window_us: its length; labels inside it are drawn fully.
            hold_us: how long older labels stay, fading, unless newer ones replace them.
            names: class names by id.
        """
        newest = int(np.searchsorted(self.times_us, end_us, side="right")) - 1
        if newest < 0:
            return []
        age = end_us - int(self.times_us[newest]) - window_us
        if age >= max(hold_us, 0.0):
            return []
        strength = 1.0 if age < 0 else 1.0 - (1.0 - _FADED) * (age + window_us) / (hold_us + window_us)
        return [self._drawn(box, names, strength) for box in self.frames[newest]]

    def _drawn(self, box: Any, names: Sequence[str], strength: float) -> DrawnBox:
        kind, class_id = self._kind(box), int(box["class_id"])
        x, y, w, h = (float(box[field]) for field in ("x", "y", "w", "h"))
        text, score = "ignored" if kind is BoxKind.IGNORED else class_name(names, class_id), None
        if kind is BoxKind.PSEUDO:
            score = float(box["class_confidence"]) * float(box["objectness"])
            text += f" {score:.2f}"
        return DrawnBox((x, y, x + w, y + h), kind, class_id, text, strength, score=score)


def classes_called(wanted: Sequence[str], names: Sequence[str]) -> set[int]:
    """Ids of the classes that are called so, or have these numbers.

    Raises:
        UserError: no class is called so.

    >>> classes_called(["car", " 3"], ["pedestrian", "car"])
    {1, 3}
    """
    wanted = [name.strip() for name in wanted]
    unknown = [name or "a name without letters" for name in wanted if name not in names and not name.isdecimal()]
    if unknown:
        raise UserError(
            expected=f"classes among {', '.join(names)}" if names else "numbers of classes: their names are not known",
            got=", ".join(unknown),
            where="--only-class",
            fix="give these" if names else "give numbers, or the names of all classes with --classes",
        )
    return {names.index(name) if name in names else int(name) for name in wanted}


def load_labels(path: Path, ev_repr_name: str | None = None, context: BoxContext | None = None) -> LabelTrack:
    """Read labels from boxes in any layout (``data.box_files``) or from a sequence folder.

    Args:
        path: the labels.
        ev_repr_name: representation of the sequence, whose frame times date the labels; any if None.
        context: what a file of boxes does not say itself.

    Raises:
        UserError: no such labels, or no box among them.
    """
    inside = [] if not path.is_dir() or (path / LABEL_DIR).is_dir() else sorted(path.glob(f"**/{LABEL_DIR}"))
    if inside:
        raise UserError(
            expected="boxes of one recording",
            got=f"a folder of sequences ({len(inside)})",
            where=str(path),
            fix=f"give one of them, e.g. {inside[0].parent}",
        )
    if path.is_dir() and ((path / LABEL_DIR).is_dir() or context is None):
        track = _labels_of_sequence(path, ev_repr_name)
    else:
        track = _labels_of_file(path, context or BoxContext())
    if not track.num_boxes:
        raise UserError(
            expected="labels with boxes to draw",
            got="no boxes",
            where=str(path),
            fix="give another file with --labels, or leave labels out with --labels none",
        )
    return track


def find_labels(recording: Path) -> Path | None:
    """Labels that belong to a recording or a sequence folder by their place, or None.

    A sequence has them inside; beside ``<name>_td.dat`` they are ``<name>_bbox.npy`` or ``<name>_bbox.csv``.
    """
    if recording.is_dir():
        return recording if (recording / LABEL_DIR).is_dir() else None
    beside = boxes_beside(recording)
    return beside if beside.is_file() else None


def _labels_of_file(path: Path, context: BoxContext) -> LabelTrack:
    boxes, names = read_named_boxes(path, context)
    boxes = boxes[boxes["class_id"] != LEFT_OUT_CLASS]
    boxes = boxes[np.argsort(boxes["t"], kind="stable")]
    times, first = np.unique(boxes["t"], return_index=True)
    return LabelTrack(times.astype(np.int64), np.split(boxes, first[1:]), pseudo=False, names=names)


def _labels_of_sequence(root: Path, name: str | None) -> LabelTrack:
    if not (root / LABEL_DIR).is_dir() or not (root / EV_DIR).is_dir():
        raise UserError(
            expected=f"a sequence folder with {LABEL_DIR} and {EV_DIR}",
            got="a folder without them",
            where=str(root),
            fix="give a sequence folder or a _bbox.npy file with --labels",
        )
    if name is None or not (root / EV_DIR / name).is_dir():
        name = find_representation(root, None, None)
    paths = sequence_paths(root, name)
    labels = read_labels(paths)
    frame_times = sequence_times(paths, len(FrameReader(paths.h5)))
    if len(labels) and labels.objframe_idx_2_repr_idx[-1] >= len(frame_times):
        raise UserError(
            expected=f"labels on the {len(frame_times)} frames of the sequence",
            got=f"a label on frame {labels.objframe_idx_2_repr_idx[-1]}",
            where=str(paths.labels_npz),
            fix="labels and frames do not belong together: preprocess the sequence again",
        )
    frames = [labels.frame(index) for index in range(len(labels))]
    return LabelTrack(frame_times[labels.objframe_idx_2_repr_idx], frames, pseudo=True)
