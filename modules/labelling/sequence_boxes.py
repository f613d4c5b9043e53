"""The pseudo labels of a sequence: merging of views, choice, tracking, and the form on disk (LEOD)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.sequences.layout import SequencePaths, StoredLabels, write_label_sequence
from modules.evaluation.agreement import Agreement
from modules.evaluation.views import NMS_THRESHOLD, merge_views, plain_frame
from modules.labelling.config import PseudoLabelerConfig
from modules.labelling.selection import Selection
from modules.tracking.filter import TrackFilterConfig, filter_tracks
from modules.tracking.repair import track_and_repair
from utils.boxes import (
    BBOX_DTYPE,
    IGNORE_LABEL,
    FloatArray,
    Label,
    records_to_rows,
    rows_to_records,
)

IntArray = npt.NDArray[np.int64]


class EventSeqData:
    """Boxes of one sequence from all views, until they are merged, tracked and saved.

    Boxes are kept at full resolution and in the direction of the unflipped, forward sequence.

    Args:
        path: the sequence's folder.
        frame_hw: full resolution, pixels.
        scale_ratio: full resolution divided by that of the representation (1 or 2).
        filter_config: tracking; None or ``min_track_len`` 0 leaves it out.
        nms_threshold: overlap above which boxes of several views are one.
        agreement: merge views by agreement instead.
        selection: which merged boxes are labels; None: all.
    """

    def __init__(
        self,
        path: Path | str,
        frame_hw: tuple[int, int],
        scale_ratio: float = 1,
        filter_config: TrackFilterConfig | None = None,
        nms_threshold: float = NMS_THRESHOLD,
        agreement: Agreement | None = None,
        selection: Selection | None = None,
    ) -> None:
        self.path = Path(path)
        self.frame_hw = frame_hw
        self.scale_ratio = scale_ratio
        self.filter_config = filter_config
        self.nms_threshold = nms_threshold
        self.agreement = agreement
        self.selection = selection
        self.ground_truth: dict[int, npt.NDArray[Any]] = {}
        self._frames: list[int] = []  # one entry per frame and view
        self._rows: list[FloatArray] = []
        self._views: list[int] = []  # 1 mirrored + 2 reversed + 4 thinned + 8 times the teacher's number

    def update(
        self,
        labels: Sequence[FloatArray | None],
        ev_idx: Sequence[int] | IntArray,
        is_padded_mask: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
        is_hflip: bool = False,
        is_tflip: bool = False,
        tflip_offset: int = 0,
        is_thinned: bool = False,
        teacher: int = 0,
    ) -> None:
        """Add one view of a chunk.

        Args:
            labels: label rows [n, 8] of each frame, pixels of the representation; None where nothing was looked for.
            ev_idx: frame numbers.
            is_padded_mask: frames that do not exist.
            is_hflip: boxes lie in mirrored frames.
            is_tflip: the sequence runs backwards; boxes belong to frame ``ev_idx + tflip_offset``.
            tflip_offset: see ``is_tflip``.
            is_thinned: the frames lack a share of their events.
            teacher: number of the detector, where several label.
        """
        width = round(self.frame_hw[1] / self.scale_ratio)
        padded = np.zeros(len(labels), dtype=bool) if is_padded_mask is None else is_padded_mask
        for rows, number, padding in zip(labels, ev_idx, padded, strict=True):
            frame = plain_frame(int(number), is_tflip, tflip_offset)
            if rows is None or padding or frame < 0:
                continue
            rows = rows.astype(np.float32)  # a copy
            if is_hflip:
                Label.mirror_(rows, width)
            rows[:, Label.XYWH] *= np.float32(self.scale_ratio)
            self._frames.append(frame)
            self._rows.append(rows)
            self._views.append(is_hflip + 2 * is_tflip + 4 * is_thinned + 8 * teacher)

    def set_ground_truth(self, frame: int, records: npt.NDArray[Any]) -> None:
        """Give a frame its ground truth (``BBOX_DTYPE``, full resolution); no other box of the frame will count."""
        self.ground_truth[frame] = records

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the boxes as flat arrays; ``add_state`` takes them back."""
        counts = np.array([len(rows) for rows in self._rows], dtype=np.int64)
        gt = sorted(self.ground_truth.items())
        return {
            "frames": np.array(self._frames, dtype=np.int64),
            "views": np.array(self._views, dtype=np.int64),
            "counts": counts,
            "rows": np.concatenate([*self._rows, np.zeros((0, len(Label)), dtype=np.float32)]),
            "gt_frames": np.array([frame for frame, _ in gt], dtype=np.int64),
            "gt_counts": np.array([len(records) for _, records in gt], dtype=np.int64),
            "gt": np.concatenate([np.zeros(0, dtype=BBOX_DTYPE), *(records for _, records in gt)]),
        }

    def add_state(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put the boxes of an earlier pass before those of this one."""
        if len(state["frames"]):
            self._frames = state["frames"].tolist() + self._frames
            self._views = state["views"].tolist() + self._views
            self._rows = np.split(state["rows"], np.cumsum(state["counts"])[:-1]) + self._rows
        if len(state["gt_frames"]):
            records = np.split(state["gt"], np.cumsum(state["gt_counts"])[:-1])
            self.ground_truth |= dict(zip(state["gt_frames"].tolist(), records, strict=True))

    def boxes_of_views(self, *, all_views: bool) -> dict[int, FloatArray]:
        """Boxes by frame number before any merging: of the first teacher's plain view, or of all views together."""
        parts: dict[int, list[FloatArray]] = {}
        for frame, rows, view in zip(self._frames, self._rows, self._views, strict=True):
            if all_views or view == 0:
                parts.setdefault(frame, []).append(rows)
        return {frame: np.concatenate(rows) for frame, rows in sorted(parts.items())}

    def aggregate(self) -> dict[int, FloatArray]:
        """Merge the views: boxes by frame number, ascending, frames without boxes left out.

        A frame with several views gets class-aware NMS, or boxes by agreement; ground truth is taken as it came first.
        """
        merged = {frame: records_to_rows(records) for frame, records in self.ground_truth.items()}
        for frame, parts in self._parts().items():
            if frame not in merged:
                merged[frame] = self._merged(parts)
        return {frame: rows for frame, rows in sorted(merged.items()) if len(rows)}

    def _parts(self) -> dict[int, list[FloatArray]]:
        """Boxes of each view by frame number."""
        parts: dict[int, list[FloatArray]] = {}
        for frame, rows in zip(self._frames, self._rows, strict=True):
            parts.setdefault(frame, []).append(rows)
        return parts

    def _merged(self, parts: list[FloatArray]) -> FloatArray:
        labelled = [rows for rows in parts if (rows[:, Label.T] > 0).any()]
        single = labelled[0] if labelled else parts[0] if len(parts) == 1 else None
        return merge_views(parts, Label, self.nms_threshold, self.agreement) if single is None else single

    def judged(self) -> list[tuple[npt.NDArray[Any], FloatArray]]:
        """Ground truth and merged boxes of the frames that have it and were looked at all the same."""
        truth = self.ground_truth
        return [(truth[frame], self._merged(parts)) for frame, parts in self._parts().items() if frame in truth]

    def candidates(self) -> tuple[int, FloatArray]:
        """Number of frames that were looked at and have no ground truth, and their merged boxes [n, 8]."""
        boxes = [rows for frame, rows in self.aggregate().items() if frame not in self.ground_truth]
        others = set(self._frames) - self.ground_truth.keys()
        return len(others), np.concatenate([np.zeros((0, len(Label)), dtype=np.float32), *boxes])

    def _selected(self) -> tuple[dict[int, FloatArray], dict[int, npt.NDArray[np.bool_]]]:
        """Boxes by frame that stay, and a mask of those of them that are to be ignored, for frames that have any."""
        boxes: dict[int, FloatArray] = {}
        unsure: dict[int, npt.NDArray[np.bool_]] = {}
        for frame, rows in self.aggregate().items():
            if self.selection is None or (rows[:, Label.T] > 0).any():
                boxes[frame] = rows
                continue
            stay, ignored = self.selection(rows)
            if stay.any():
                boxes[frame], unsure[frame] = rows[stay], ignored[stay]
        return boxes, unsure

    def _filtered(self) -> dict[int, FloatArray]:
        """Labels by frame; what no track supports is to be ignored."""
        boxes, unsure = self._selected()
        config = self.filter_config
        if config is not None and config.min_track_len > 0:
            masks, painted = filter_tracks(list(boxes), list(boxes.values()), self.frame_hw, config)
            for (frame, rows), mask in zip(list(boxes.items()), masks, strict=True):
                boxes[frame] = rows.copy()
                boxes[frame][mask, Label.CLASS_ID] = IGNORE_LABEL
            for frame, rows in painted.items():
                boxes[frame] = np.concatenate([boxes[frame], rows]) if frame in boxes else rows
        for frame, mask in unsure.items():  # their tracks are followed by class
            boxes[frame][: len(mask)][mask, Label.CLASS_ID] = IGNORE_LABEL
        return boxes

    def finish(self) -> StoredLabels:
        """Merge the views, drop or repair by tracks, and return the labels in their form on disk."""
        config, choice = self.filter_config, self.selection
        if config is not None and choice is not None and config.repairs:
            boxes = track_and_repair(self.aggregate(), self.frame_hw, config, choice.sure, choice.unsure)
        else:
            boxes = self._filtered()
        frames = sorted(boxes)
        # The records of ground truth are those given: neither times nor coordinates are rounded.
        records = [self.ground_truth.get(frame, rows_to_records(boxes[frame])) for frame in frames]
        counts = np.array([len(part) for part in records], dtype=np.int64)
        return StoredLabels(
            boxes=np.concatenate([np.zeros(0, dtype=BBOX_DTYPE), *records]),
            objframe_idx_2_label_idx=np.cumsum(counts) - counts,
            objframe_idx_2_repr_idx=np.array(frames, dtype=np.int64),
        )

    def save(self, save_dir: Path | str, source: SequencePaths) -> StoredLabels:
        """Write the sequence as ``save_dir/<name>`` in the dataset layout, whole or not at all, frames linked.

        Args:
            save_dir: the new split's folder.
            source: the sequence the frames come from.

        Returns:
            What was written.
        """
        labels = self.finish()
        write_label_sequence(Path(save_dir) / self.path.name, source, labels)
        return labels


def sequence_of(
    config: PseudoLabelerConfig, path: Path | str, scale_ratio: float, selection: Selection | None = None
) -> EventSeqData:
    """An empty sequence with all settings; ``scale_ratio`` and ``selection`` as in ``EventSeqData``."""
    return EventSeqData(
        path,
        config.sensor_hw,
        scale_ratio,
        config.tracking,
        config.nms_threshold,
        config.agreement,
        selection,
    )
