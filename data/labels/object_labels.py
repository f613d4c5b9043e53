"""Boxes of one frame (or one lane).

Rows are float32 ``[N, 8]`` in the order of ``utils.boxes.LABEL_COLUMNS`` (t, x, y, w, h, class_id, class_confidence,
objectness); x, y is the top-left corner in pixels, pixel centres at whole numbers, so a frame spans
``[0, W-1] x [0, H-1]``. Ground truth has t > 0, pseudo labels t = 0 (LEOD). float32 cannot hold microseconds beyond
16.7 s exactly, therefore the exact times travel beside the rows as int64 ``t_us``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.labels import box_ops
from utils.boxes import (
    BBOX_DTYPE,
    IGNORE_LABEL,
    LABEL_COLUMNS,
    PROPHESEE_DTYPE,
    Label,
    records_to_rows,
    rows_to_records,
    yolox_rows,
)
from utils.errors import UserError

LabelFormat = Literal["yolox", "prophesee"]
_NUM_COLUMNS = len(Label)
_PROPHESEE = slice(Label.T, Label.OBJECTNESS)


class ObjectLabels:
    """Labels of one frame; operations that end in ``_`` change the object in place.

    Args:
        object_labels: rows [N, 8], converted to float32 (not copied when it already is).
        input_size_hw: height and width in pixels of the frame the boxes lie in.
        t_us: exact times int64 [N]; by default the rounded t column.

    Raises:
        UserError: the rows do not have eight columns.
    """

    __slots__ = ("input_size_hw", "object_labels", "t_us")

    def __init__(self, object_labels: Tensor, input_size_hw: tuple[int, int], t_us: Tensor | None = None) -> None:
        if object_labels.ndim != 2 or object_labels.shape[1] != _NUM_COLUMNS:
            raise UserError(
                expected=f"label rows of shape [N, {_NUM_COLUMNS}]: {', '.join(LABEL_COLUMNS)}",
                got=f"shape {list(object_labels.shape)}",
                where="ObjectLabels",
                fix="give all eight columns (objectness = class_confidence when there is none)",
            )
        self.object_labels = object_labels.to(torch.float32)
        self.input_size_hw = input_size_hw
        self.t_us = self.object_labels[:, Label.T].to(torch.int64) if t_us is None else t_us

    @classmethod
    def empty(cls, input_size_hw: tuple[int, int]) -> ObjectLabels:
        """Labels of a frame that was looked at and holds no box."""
        return cls(torch.zeros(0, _NUM_COLUMNS), input_size_hw)

    @classmethod
    def from_structured_array(
        cls,
        object_label_array: npt.NDArray[Any],
        input_size_hw: tuple[int, int],
        downsample_factor: float | None = None,
    ) -> ObjectLabels:
        """Labels from records of ``BBOX_DTYPE``: clamped to the frame, then scaled down.

        Args:
            object_label_array: structured array [N].
            input_size_hw: size of the frame the records lie in (full resolution).
            downsample_factor: e.g. 2 for frames at half resolution; the result then lies in the smaller frame.
        """
        t_us = torch.from_numpy(np.ascontiguousarray(object_label_array["t"].astype(np.int64)))
        labels = cls(torch.from_numpy(records_to_rows(object_label_array)), input_size_hw, t_us)
        labels.clamp_to_frame_()
        if downsample_factor is not None:
            labels.scale_(1.0 / downsample_factor)
        return labels

    def __len__(self) -> int:
        return self.object_labels.shape[0]

    def __repr__(self) -> str:
        return f"ObjectLabels(n={len(self)}, input_size_hw={self.input_size_hw})"

    def __getitem__(self, rows: Tensor | slice) -> ObjectLabels:
        """Labels of the chosen rows (mask, indices or slice)."""
        return ObjectLabels(self.object_labels[rows], self.input_size_hw, self.t_us[rows])

    def clone(self) -> ObjectLabels:
        """An independent copy."""
        return ObjectLabels(self.object_labels.clone(), self.input_size_hw, self.t_us.clone())

    # Columns, each float32 [N].
    @property
    def t(self) -> Tensor:
        """Time in microseconds, rounded to float32 (exact: ``t_us``); 0 marks pseudo labels."""
        return self.object_labels[:, Label.T]

    @property
    def x(self) -> Tensor:
        """Left edge in pixels."""
        return self.object_labels[:, Label.X]

    @property
    def y(self) -> Tensor:
        """Top edge in pixels."""
        return self.object_labels[:, Label.Y]

    @property
    def w(self) -> Tensor:
        """Width in pixels."""
        return self.object_labels[:, Label.W]

    @property
    def h(self) -> Tensor:
        """Height in pixels."""
        return self.object_labels[:, Label.H]

    @property
    def class_id(self) -> Tensor:
        """Class index as a float; ``IGNORE_LABEL`` marks ignored boxes."""
        return self.object_labels[:, Label.CLASS_ID]

    @property
    def class_confidence(self) -> Tensor:
        """Class score in [0, 1]; 1 for ground truth."""
        return self.object_labels[:, Label.CLASS_CONFIDENCE]

    @property
    def objectness(self) -> Tensor:
        """Objectness in [0, 1]; 1 for ground truth."""
        return self.object_labels[:, Label.OBJECTNESS]

    def is_gt_label(self) -> Tensor:
        """Bool [N]: which boxes are ground truth."""
        return self.t > 0

    def is_pseudo_label(self) -> Tensor:
        """Bool [N]: which boxes are pseudo labels."""
        return self.t == 0

    def is_ignored(self) -> Tensor:
        """Bool [N]: which boxes only shield their place from the background loss."""
        return self.class_id == IGNORE_LABEL

    # Geometry. Each returns the bool mask [N before] of boxes that were kept.
    def _update_(self, rows: Tensor, keep: Tensor) -> Tensor:
        self.object_labels, self.t_us = rows[keep], self.t_us[keep]
        return keep

    def clamp_to_frame_(self) -> Tensor:
        """Clip corners to ``[0, W-1] x [0, H-1]``; flat boxes stay."""
        rows = box_ops.clamp(self.object_labels, self.input_size_hw)
        return self._update_(rows, torch.ones(len(rows), dtype=torch.bool))

    def remove_flat_labels_(self) -> Tensor:
        """Drop boxes without width or height."""
        return self._update_(self.object_labels, box_ops.not_flat(self.object_labels))

    def scale_(self, factor: float) -> Tensor:
        """Scale frame and boxes; far corners stay within the new size - 1; flat boxes go."""
        height, width = self.input_size_hw
        rows = box_ops.scale(self.object_labels, self.input_size_hw, factor)
        self.input_size_hw = (round(height * factor), round(width * factor))
        return self._update_(rows, box_ops.not_flat(rows))

    def flip_lr_(self) -> Tensor:
        """Mirror left and right: x becomes W - 1 - x - w."""
        rows = box_ops.flip_lr(self.object_labels, self.input_size_hw)
        return self._update_(rows, torch.ones(len(rows), dtype=torch.bool))

    def rotate_(self, angle_deg: float) -> Tensor:
        """Rotate counter-clockwise about (W//2, H//2): bounding boxes of the rotated corners, clamped; flat ones go."""
        rows = box_ops.rotate(self.object_labels, self.input_size_hw, angle_deg)
        return self._update_(rows, box_ops.not_flat(rows))

    def zoom_in_and_rescale_(self, zoom_coordinates_x0y0: tuple[int, int], zoom_in_factor: float) -> Tensor:
        """Cut the window at (x0, y0) of size ``int(hw / factor)`` and enlarge it to the frame; boxes outside go."""
        rows = box_ops.zoom_in(self.object_labels, self.input_size_hw, zoom_coordinates_x0y0, zoom_in_factor)
        return self._update_(rows, box_ops.not_flat(rows))

    def zoom_out_and_rescale_(self, zoom_coordinates_x0y0: tuple[int, int], zoom_out_factor: float) -> Tensor:
        """Shrink the frame by ``factor`` and put it at (x0, y0) of an empty frame."""
        rows = box_ops.zoom_out(self.object_labels, self.input_size_hw, zoom_coordinates_x0y0, zoom_out_factor)
        return self._update_(rows, box_ops.not_flat(rows))

    def reverse_zoom_in_(self, zoom_coordinates_x0y0: tuple[int, int], zoom_in_factor: float) -> None:
        """Take boxes of a zoomed-in frame back to the original one (what was cut off stays cut off)."""
        self.object_labels = box_ops.undo_zoom_in(self.object_labels, zoom_coordinates_x0y0, zoom_in_factor)

    def reverse_zoom_out_(self, zoom_coordinates_x0y0: tuple[int, int], zoom_out_factor: float) -> None:
        """Take boxes of a zoomed-out frame back to the original one."""
        self.object_labels = box_ops.undo_zoom_out(self.object_labels, zoom_coordinates_x0y0, zoom_out_factor)

    # Views.
    def get_labels_as_tensors(self, format_: LabelFormat = "yolox") -> Tensor:
        """Rows [N, 7] in the order another part expects.

        ``yolox``: class_id, centre x, centre y, w, h, objectness, class_confidence.
        ``prophesee``: t, x, y, w, h, class_id, class_confidence.
        """
        if format_ == "yolox":
            return yolox_rows(self.object_labels)
        if format_ == "prophesee":
            return self.object_labels[:, _PROPHESEE]
        raise UserError(
            expected="'yolox' or 'prophesee'", got=repr(format_), where="label format", fix="choose one of the two"
        )

    def to_structured(self, t_us: int | None = None) -> npt.NDArray[Any]:
        """Records of ``BBOX_DTYPE`` [N]; ``t_us`` overrides the time of every box."""
        return _structured(self.object_labels, self.t_us, t_us, BBOX_DTYPE)

    def to_prophesee(self, t_us: int | None = None) -> npt.NDArray[Any]:
        """Records of ``PROPHESEE_DTYPE`` [N] for the evaluation protocol."""
        return _structured(self.object_labels, self.t_us, t_us, PROPHESEE_DTYPE)


def _structured(rows: Tensor, t_us: Tensor, override: int | None, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    out = rows_to_records(rows.detach().cpu().numpy(), dtype)
    out["t"] = t_us.cpu().numpy() if override is None else override
    return out
