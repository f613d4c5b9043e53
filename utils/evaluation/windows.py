"""Which boxes the Prophesee protocol looks at: time and size filters, and detections gathered around label times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BoxArray = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]


def protocol_mask(boxes: BoxArray, skip_us: int, min_diag: float, min_side: float) -> npt.NDArray[np.bool_]:
    """Mark the boxes that count: later than ``skip_us``, large enough in diagonal and in both sides.

    Args:
        boxes: structured array [N] with t (us), w and h (pixels).
        skip_us: boxes at or before this time do not count.
        min_diag: smallest diagonal, pixels, inclusive.
        min_side: smallest width and height, pixels, inclusive.
    """
    w, h = boxes["w"], boxes["h"]
    return (boxes["t"] > skip_us) & (w**2 + h**2 >= min_diag**2) & (w >= min_side) & (h >= min_side)


@dataclass(frozen=True)
class Windows:
    """Labels and detections of the evaluated frames ("images" of the COCO metric).

    ``gt[gt_window == i]`` and ``dt[dt_window == i]`` are the boxes of window i; both arrays ascend by window.
    A detection appears once per window that covers its time.

    ``item`` is the number of the recording (or frame) that each window is of [count].
    """

    gt: BoxArray
    gt_window: IntArray
    dt: BoxArray
    dt_window: IntArray
    count: int
    item: IntArray

    def of_class(self, class_id: int, *, only_with_labels: bool) -> Windows:
        """Keep one class; with ``only_with_labels`` also only the windows that hold a label of it."""
        gt_keep = self.gt["class_id"] == class_id
        dt_keep = self.dt["class_id"] == class_id
        count, item = self.count, self.item
        gt_window, dt_window = self.gt_window[gt_keep], self.dt_window[dt_keep]
        dt = self.dt[dt_keep]
        if only_with_labels:
            kept, gt_window = np.unique(gt_window, return_inverse=True)
            inside = np.isin(dt_window, kept)
            dt, dt_window, count = dt[inside], np.searchsorted(kept, dt_window[inside]), len(kept)
            item = item[kept]
        return Windows(self.gt[gt_keep], gt_window, dt, dt_window, count, item)


def gather_windows(
    gt: BoxArray,
    gt_item: IntArray,
    dt: BoxArray,
    dt_item: IntArray,
    time_tol_us: int,
    window_times: BoxArray | None = None,
) -> Windows:
    """Form one window per distinct label time of each item and gather the detections within ``±time_tol_us`` of it.

    Args:
        gt: labels, structured [N].
        gt_item: recording (or frame) number of each label.
        dt: detections, structured [M].
        dt_item: recording number of each detection.
        time_tol_us: half width of a window in microseconds, inclusive.
        window_times: int64 [K, 2] rows (item, time); by default those of the labels.
    """
    gt_rows = np.stack([gt_item, gt["t"]], axis=1)
    rows = np.unique(gt_rows if window_times is None else window_times, axis=0)
    times = np.concatenate([rows[:, 1], gt["t"], dt["t"]])
    if not len(times):
        return Windows(gt, gt_item, dt, dt_item, 0, np.zeros(0, np.int64))
    # One integer axis for all items, far enough apart that no window reaches into the neighbouring item.
    start = int(times.min())
    stride = int(times.max()) - start + 2 * time_tol_us + 2
    window_keys = rows[:, 0] * stride + (rows[:, 1] - start)
    gt_keys = gt_item * stride + (gt["t"] - start)
    dt_keys = dt_item * stride + (dt["t"] - start)

    gt_order = np.argsort(gt_keys, kind="stable")
    gt_window = np.searchsorted(window_keys, gt_keys[gt_order])
    dt_order = np.argsort(dt_keys, kind="stable")
    first = np.searchsorted(dt_keys[dt_order], window_keys - time_tol_us, side="left")
    last = np.searchsorted(dt_keys[dt_order], window_keys + time_tol_us, side="right")
    lengths = last - first
    dt_window = np.repeat(np.arange(len(rows)), lengths)
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    picked = dt_order[np.repeat(first, lengths) + within]
    return Windows(gt[gt_order], gt_window, dt[picked], dt_window, len(rows), rows[:, 0])
