"""One recording with its boxes becomes one sequence of the dataset layout."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.recording import Recording
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.filters import filter_and_count
from data.preprocessing.timing import WindowPlan, infer_base_step_us, plan_windows, select_label_times
from data.sequences.layout import SequenceWriter, StoredLabels
from data.sequences.record import SequenceCounts, write_record
from utils.errors import UserError

log = logging.getLogger(__name__)

WALL_CLOCK_US = 1 << 32

NO_LABEL = "no label is left after filtering"


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


def skipped(name: str, boxes: npt.NDArray[Any], cfg: PreprocessConfig, split: str, reason: str) -> SequenceCounts:
    """Counts of a recording that nothing is made of."""
    kept, dropped = filter_and_count(boxes, cfg, split)
    return SequenceCounts(name, raw_boxes=len(boxes), dropped={**dropped, "time": len(kept)}, skipped=reason)


def count_repairs(recording: Recording) -> dict[str, int]:
    """What its reader repaired or left out, counts above 0 only."""
    return {key: value for key, value in asdict(recording.report).items() if value > 0}


def preprocess_recording(
    recording: Recording,
    boxes: npt.NDArray[Any],
    out_dir: Path | str,
    cfg: PreprocessConfig,
    split: str,
    source: str = "",
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
        source: the recording's file name, for the record.

    Returns:
        Counts; ``skipped`` says why nothing was written: no box is left, or no window.

    Raises:
        UserError: events lie outside the sensor, no label lies within the recording, or the folder holds files.
    """
    out_dir = Path(out_dir)
    clock_us = recording.t_first_us if recording.t_first_us >= WALL_CLOCK_US else 0
    filtered, dropped = filter_and_count(boxes, cfg, split)
    filtered["t"] -= clock_us
    t_last_us = recording.t_last_us - clock_us
    plan = plan_sequence(filtered, cfg, t_last_us)
    if not len(plan.label_times_us) and not cfg.all_windows:
        return skipped(out_dir.name, boxes, cfg, split, NO_LABEL)
    if not len(plan.ends_us):
        return skipped(out_dir.name, boxes, cfg, split, "shorter than one window")
    _check_label_times(plan, t_last_us, clock_us, out_dir.name, cfg.dt_us)
    labels = group_labels(filtered, plan)
    counts = SequenceCounts(
        name=out_dir.name,
        events=recording.num_events,
        frames=len(plan.ends_us),
        labelled_frames=len(labels),
        boxes=len(labels.boxes),
        raw_boxes=len(boxes),
        dropped={**dropped, "time": len(filtered) - len(labels.boxes)},
        repaired=count_repairs(recording),
    )
    write_sequence(recording, plan, labels, out_dir, cfg, counts, cfg.settings(), source, clock_us)
    return counts


def _check_label_times(plan: WindowPlan, t_last_us: int, clock_us: int, name: str, dt_us: int) -> None:
    """Labels of another clock have no events: refuse them if all are late, warn if some are."""
    late = int(np.count_nonzero(plan.label_times_us > t_last_us + dt_us))
    if not late:
        return
    first = int(plan.label_times_us[0]) + clock_us
    if late == len(plan.label_times_us):
        raise UserError(
            expected=f"labels within the recording, which ends at {t_last_us + clock_us} µs",
            got=f"{late} labelled frames, the first at {first} µs",
            where=name,
            fix="check that boxes and events belong together and that both count microseconds on one clock",
        )
    log.warning("%s: %d of %d labelled frames lie after the last event", name, late, len(plan.label_times_us))


def write_sequence(
    recording: Recording,
    plan: WindowPlan,
    labels: StoredLabels,
    out_dir: Path | str,
    cfg: PreprocessConfig,
    counts: SequenceCounts,
    settings: dict[str, Any],
    source: str,
    clock_us: int = 0,
) -> None:
    """Build and write the frames of a plan with the given labels, window by window, and the record of it all.

    Args:
        recording: where events come from.
        plan: the windows; time 0 of the plan is ``clock_us`` of the recording.
        labels: boxes of the plan's labelled frames.
        out_dir: the sequence's folder, absent or empty.
        cfg: sizes and representation.
        counts: for the record.
        settings: for the record.
        source: the recording's file name, for the record.
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
        finish=lambda root: write_record(root, source, settings, counts),
    ) as writer:
        for end in plan.ends_us.tolist():
            events = recording.read(clock_us + end - cfg.dt_us, clock_us + end)
            writer.append_frames(representation.build(events, height, width, cfg.downsample_by_factor_2))
        writer.write_frame_timestamps(plan.ends_us)
        writer.write_labels(labels)
