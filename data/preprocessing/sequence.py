"""One recording with its boxes becomes one sequence of the dataset layout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.recording import Recording
from data.genx_utils.layout import SequenceWriter, StoredLabels
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.filters import filter_boxes
from data.preprocessing.timing import WindowPlan, infer_base_step_us, plan_windows, select_label_times

log = logging.getLogger(__name__)

WALL_CLOCK_US = 1 << 32

NO_LABEL = "no label is left after filtering"


@dataclass(frozen=True)
class SequenceCounts:
    """What became of one recording.

    Attributes:
        name: the sequence.
        frames, labelled_frames, boxes: what was written; all 0 if ``skipped``.
        raw_boxes: boxes before filtering.
        skipped: why nothing was written, or None.
    """

    name: str
    frames: int = 0
    labelled_frames: int = 0
    boxes: int = 0
    raw_boxes: int = 0
    skipped: str | None = None


def keep_label_times(boxes: npt.NDArray[Any], cfg: PreprocessConfig) -> tuple[npt.NDArray[np.int64], float]:
    """Times of the labelled frames for filtered boxes, int64 [F], and the base step, both in microseconds."""
    times = np.unique(boxes["t"])
    base_step_us = (
        infer_base_step_us(times, cfg.target_step_ms * 1000) if cfg.base_step_ms is None else cfg.base_step_ms * 1000
    )
    return select_label_times(times, cfg.align_t_ms * 1000, base_step_us), base_step_us


def plan_sequence(boxes: npt.NDArray[Any], cfg: PreprocessConfig, t_last_us: int) -> WindowPlan:
    """Labelled frames and windows for filtered boxes (``BBOX_DTYPE`` [N]) of a recording that ends at ``t_last_us``."""
    kept, base_step_us = keep_label_times(boxes, cfg)
    t_end_us = t_last_us if cfg.all_windows else None
    return plan_windows(kept, base_step_us, cfg.dt_us, cfg.windows_per_label_step, t_end_us)


def group_labels(boxes: npt.NDArray[Any], plan: WindowPlan) -> StoredLabels:
    """Boxes at the plan's label times, grouped by frame; boxes at other times are left out."""
    boxes = boxes[np.isin(boxes["t"], plan.label_times_us)]
    boxes = boxes[np.argsort(boxes["t"], kind="stable")]
    return StoredLabels(
        boxes=boxes,
        objframe_idx_2_label_idx=np.searchsorted(boxes["t"], plan.label_times_us, side="left").astype(np.int64),
        objframe_idx_2_repr_idx=plan.objframe_idx_2_repr_idx,
        label_timestamps_us=plan.label_times_us,
    )


def preprocess_recording(
    recording: Recording, boxes: npt.NDArray[Any], out_dir: Path | str, cfg: PreprocessConfig, split: str
) -> SequenceCounts:
    """Write one sequence; its folder appears whole at the end.

    A recording on a wall clock (its first event later than ``.dat`` times can be, 71 minutes) is shifted to start
    at 0, so that its label times keep their precision.

    Args:
        recording: any recording of ``cfg.sensor_hw``.
        boxes: raw boxes, ``BBOX_DTYPE`` [N], times on the recording's clock.
        out_dir: the sequence's folder, absent or empty.
        cfg: how.
        split: ``train``, ``val`` or ``test`` (one filter is for training only).

    Returns:
        Counts; ``skipped`` says why nothing was written: no box is left, or no window.

    Raises:
        UserError: events lie outside the sensor, or the folder holds files.
    """
    out_dir = Path(out_dir)
    clock_us = recording.t_first_us if recording.t_first_us >= WALL_CLOCK_US else 0
    filtered = filter_boxes(boxes, cfg, split)
    filtered["t"] -= clock_us
    t_last_us = recording.t_last_us - clock_us
    plan = plan_sequence(filtered, cfg, t_last_us)
    if not len(plan.label_times_us) and not cfg.all_windows:
        return SequenceCounts(name=out_dir.name, raw_boxes=len(boxes), skipped=NO_LABEL)
    if not len(plan.ends_us):
        return SequenceCounts(name=out_dir.name, raw_boxes=len(boxes), skipped="shorter than one window")
    if len(plan.label_times_us) and plan.label_times_us[0] > t_last_us + cfg.dt_us:
        log.warning("%s: all labels lie after the last event at %d µs", out_dir.name, t_last_us)
    labels = group_labels(filtered, plan)
    write_sequence(recording, plan, labels, out_dir, cfg, clock_us)
    return SequenceCounts(
        name=out_dir.name,
        frames=len(plan.ends_us),
        labelled_frames=len(labels),
        boxes=len(labels.boxes),
        raw_boxes=len(boxes),
    )


def write_sequence(
    recording: Recording,
    plan: WindowPlan,
    labels: StoredLabels,
    out_dir: Path | str,
    cfg: PreprocessConfig,
    clock_us: int = 0,
) -> None:
    """Build and write the frames of a plan with the given labels, window by window.

    Args:
        recording: where events come from.
        plan: the windows; time 0 of the plan is ``clock_us`` of the recording.
        labels: boxes of the plan's labelled frames.
        out_dir: the sequence's folder, absent or empty.
        cfg: sizes and representation.
        clock_us: see ``plan``.
    """
    representation = cfg.representation.build()
    (height, width), frame_hw = cfg.sensor_hw, cfg.frame_hw
    with SequenceWriter(
        out_dir,
        representation.name,
        representation.channels,
        *frame_hw,
        representation.dtype,
        cfg.downsample_by_factor_2,
    ) as writer:
        for end in plan.ends_us.tolist():
            events = recording.read(clock_us + end - cfg.dt_us, clock_us + end)
            writer.append_frames(representation.build(events, height, width, cfg.downsample_by_factor_2))
        writer.write_frame_timestamps(plan.ends_us)
        writer.write_labels(labels)
