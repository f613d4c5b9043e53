"""One recording with its boxes becomes one sequence of the dataset layout."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.clocks import check_clocks
from data.events.recording import Recording
from data.payloads.chunks import one_ahead
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.filters import filter_and_count
from data.preprocessing.timing import WindowPlan, group_times, infer_base_step_us, plan_windows, select_label_times
from data.sequences.account import AFTER_EVENTS, BEFORE_EVENTS, DUPLICATE, EARLY, NO_FRAME, OFF_GRID
from data.sequences.layout import SequenceWriter, StoredLabels
from data.sequences.record import SequenceCounts, write_record
from data.sequences.sources import Sources

CAMERA_CLOCK_US = 60_000_000
"""With the published scheme, a recording whose first event is later than this has a clock of its own."""
_SECOND_US = 1_000_000

NO_LABEL = "no label is left after filtering"
NO_WINDOW = "shorter than one window"

Times = npt.NDArray[np.int64]


def clock_offset_us(t_first_us: int, cfg: PreprocessConfig) -> int:
    """Where time 0 of a sequence lies on its recording's clock, so that no sequence begins with hours of nothing.

    The published scheme takes times as they are, and from the first event those of a camera that ran before or of a
    wall clock. Otherwise whole seconds go, so that the fractions of label times stay what they were.
    """
    if cfg.published_times:
        return t_first_us if t_first_us >= CAMERA_CLOCK_US else 0
    return t_first_us // _SECOND_US * _SECOND_US


def join_frames(boxes: npt.NDArray[Any], cfg: PreprocessConfig) -> tuple[npt.NDArray[Any], int]:
    """Boxes of one labelled frame get one time, and each object of it once (``nearest`` only).

    Returns:
        Boxes with the time of their frame, and how many were left out because they were there already.
    """
    if cfg.published_times or not len(boxes):
        return boxes, 0
    boxes = boxes.copy()
    boxes["t"] = group_times(boxes["t"], cfg.label_tolerance_ms * 1000)
    keys = np.rec.fromarrays([boxes[name] for name in ("t", "x", "y", "w", "h", "class_id")])
    first = np.sort(np.unique(keys, return_index=True)[1])
    return boxes[first], len(boxes) - len(first)


def frame_step_us(times_us: Times, cfg: PreprocessConfig) -> float:
    """The base step between labels, from the settings or from the labels, in microseconds."""
    if cfg.base_step_ms is None:
        return infer_base_step_us(times_us, cfg.target_step_ms * 1000)
    return cfg.base_step_ms * 1000


def plan_sequence(boxes: npt.NDArray[Any], cfg: PreprocessConfig, t_last_us: int, t_first_us: int = 0) -> WindowPlan:
    """Labelled frames and windows for filtered boxes of a recording.

    Args:
        boxes: ``BBOX_DTYPE`` [N], with one time a frame (``join_frames``).
        cfg: which labels are kept, and how windows lie.
        t_last_us, t_first_us: times of the last and first event.
    """
    times, t_end_us = np.unique(boxes["t"]), t_last_us if cfg.all_windows else None
    base_step_us = frame_step_us(times, cfg)
    if cfg.published_times:
        kept = select_label_times(times, cfg.align_t_ms * 1000, base_step_us)
        return plan_windows(kept, base_step_us, cfg.dt_us, cfg.windows_per_label_step, t_end_us)
    per_step = cfg.windows_per_label_step
    step_us = cfg.dt_us if per_step is None else base_step_us / per_step
    kept = times[[reason is None for reason in (_off(time, cfg, t_last_us, t_first_us) for time in times.tolist())]]
    start_us = t_first_us // 1000 * 1000
    return plan_windows(kept, step_us, cfg.dt_us, 1, t_end_us, start_us)


def _off(time_us: int, cfg: PreprocessConfig, t_last_us: int, t_first_us: int) -> str | None:
    """Why a label time that lies on any grid makes no labelled frame, or None."""
    if not cfg.published_times and time_us < max(t_first_us, 1):  # time 0 says that a label is a pseudo label
        return BEFORE_EVENTS
    if not cfg.published_times and time_us > t_last_us + cfg.dt_us:
        return AFTER_EVENTS
    return EARLY if time_us < cfg.align_t_ms * 1000 else None


def count_off(
    boxes: npt.NDArray[Any], plan: WindowPlan, cfg: PreprocessConfig, t_last_us: int, t_first_us: int
) -> dict[str, int]:
    """How many boxes (``BBOX_DTYPE`` [N], filtered) have no labelled frame in a plan, by reason."""
    times, counts = np.unique(boxes["t"][~np.isin(boxes["t"], plan.label_times_us)], return_counts=True)
    off: dict[str, int] = {}
    for time, count in zip(times.tolist(), counts.tolist(), strict=True):
        reason = _off(time, cfg, t_last_us, t_first_us) or (OFF_GRID if cfg.published_times else NO_FRAME)
        off[reason] = off.get(reason, 0) + count
    return off


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


def count_repairs(recording: Recording) -> dict[str, int]:
    """What its reader repaired or left out, counts above 0 only."""
    return {key: value for key, value in asdict(recording.report).items() if value > 0}


def preprocess_recording(
    recording: Recording,
    boxes: npt.NDArray[Any],
    out_dir: Path | str,
    cfg: PreprocessConfig,
    split: str,
    sources: Sources | None = None,
    replace: bool = False,
) -> SequenceCounts:
    """Write one sequence; its folder appears whole at the end.

    A recording on a camera's or a wall clock is shifted to start near 0, see ``clock_offset_us``.

    Args:
        recording: any recording of ``cfg.sensor_hw``.
        boxes: raw boxes, ``BBOX_DTYPE`` [N], times on the recording's clock.
        out_dir: the sequence's folder, absent or empty.
        cfg: how.
        split: ``train``, ``val`` or ``test`` (one filter is for training only).
        sources: the files of recording and boxes, for the record.
        replace: a sequence that is there is replaced by this one, once it is whole.

    Returns:
        Counts; ``skipped`` says why nothing was written: no box is left, or no window.

    Raises:
        UserError: events lie outside the sensor, no label lies within the recording, classes are unknown, or the
            folder holds files.
    """
    out_dir = Path(out_dir)
    check_clocks(boxes["t"], recording.t_first_us, recording.t_last_us, cfg.dt_us, out_dir.name)
    clock_us = clock_offset_us(recording.t_first_us, cfg)
    t_first_us, t_last_us = recording.t_first_us - clock_us, recording.t_last_us - clock_us
    filtered, dropped = filter_and_count(boxes, cfg, split)
    filtered["t"] -= clock_us
    filtered, dropped[DUPLICATE] = join_frames(filtered, cfg)
    plan = plan_sequence(filtered, cfg, t_last_us, t_first_us)
    dropped |= count_off(filtered, plan, cfg, t_last_us, t_first_us)
    labels = group_labels(filtered, plan)
    counts = SequenceCounts(
        name=out_dir.name,
        events=recording.num_events,
        frames=len(plan.ends_us),
        labelled_frames=len(labels),
        boxes=len(labels.boxes),
        raw_boxes=len(boxes),
        dropped=dropped,
        repaired=count_repairs(recording),
        clock_us=clock_us,
    )
    if not len(plan.label_times_us) and not cfg.all_windows:
        return skipped(counts, NO_LABEL)
    if not len(plan.ends_us):
        return skipped(counts, NO_WINDOW)
    sources = sources or Sources()
    write_sequence(recording, plan, labels, out_dir, cfg, counts, cfg.settings(), sources, clock_us, replace)
    return counts


def skipped(counts: SequenceCounts, reason: str) -> SequenceCounts:
    """The same for a recording of which nothing is made."""
    return SequenceCounts(counts.name, raw_boxes=counts.raw_boxes, dropped=counts.dropped, skipped=reason)


def write_sequence(
    recording: Recording,
    plan: WindowPlan,
    labels: StoredLabels,
    out_dir: Path | str,
    cfg: PreprocessConfig,
    counts: SequenceCounts,
    settings: dict[str, Any],
    sources: Sources,
    clock_us: int = 0,
    replace: bool = False,
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
        sources: the files of recording and boxes, for the record.
        clock_us: see ``plan``.
        replace: see ``preprocess_recording``.
    """
    representation = cfg.representation.build()
    (height, width), frame_hw = cfg.sensor_hw, cfg.frame_hw
    sources.start()
    with SequenceWriter(
        out_dir,
        representation.name,
        representation.channels,
        *frame_hw,
        representation.dtype,
        cfg.downsample_by_factor_2,
        finish=lambda root: write_record(root, sources.name, settings, counts, sources.sums()),
        replace=replace,
        events_of=(cfg.sensor_hw, cfg.dt_us) if cfg.keep_events else None,
    ) as writer:
        ends = (clock_us + plan.ends_us).tolist()
        windows = one_ahead(lambda end: recording.read(end - cfg.dt_us, end), ends)
        for end, events in zip(ends, windows, strict=True):
            writer.append_events(events, end - cfg.dt_us)
            frame = representation.build(events, height, width, cfg.downsample_by_factor_2)
            writer.append_frames(frame, given=True)
        writer.write_frame_timestamps(plan.ends_us)
        writer.write_labels(labels)
