"""Parameters of preprocessing, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from data.box_files.classes import ClassNames
from data.preprocessing.classes import ClassIds, class_ids
from data.representations.base import Representation
from data.representations.factory import make_representation
from utils.errors import UserError
from utils.settings import whole

SPLITS = ("train", "val", "test")
LABEL_TIMES = ("rvt", "nearest")


@dataclass(frozen=True)
class RepresentationConfig:
    """Which representation to build; see ``data.representations``.

    Attributes:
        kind: ``stacked_histogram``, ``mixed_density`` or ``voxel_grid``.
        bins: time bins per window.
        count_cutoff: largest count (histogram, at most 255) or magnitude (mixed density, at most 127; voxel grid).
        dt_ms: length of a window.
        name: folder name; None takes the name of the published datasets.
    """

    kind: str = "stacked_histogram"
    bins: int = 10
    count_cutoff: int | None = 10
    dt_ms: float = 50
    name: str | None = None

    def build(self) -> Representation:
        """The representation.

        Raises:
            UserError: a value is unknown or out of range.
        """
        if self.count_cutoff is not None:
            whole(self.count_cutoff, "dataset.representation.count_cutoff")
        representation = make_representation(self.kind, self.bins, self.count_cutoff, self.dt_ms)
        if self.name is not None:
            representation.name = self.name
        return representation


DEFAULT_LAYOUT = "beside"
"""Boxes beside their recordings, as published; records leave it out."""

OF_OTHER_TIMES = ("label_times", "label_tolerance_ms")
"""Keys that a record leaves out where times are the published ones; in the first release all were."""


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def names_by_split(value: Any) -> dict[str, tuple[str, ...]]:
    """Names of recordings by split, as a config gives them, without splits that have none.

    Raises:
        UserError: anything but lists of names by split.

    >>> names_by_split({"train": [], "val": ["zurich_city_16_a", 7]})
    {'val': ('zurich_city_16_a', '7')}
    """
    lists = value if isinstance(value, Mapping) else {"": value}
    for split, names in lists.items():
        if split not in SPLITS or not isinstance(names, Sequence) or isinstance(names, str):
            raise UserError(
                expected=f"lists of names, each for one of {', '.join(SPLITS)}",
                got=f"{split}: {names!r}" if split else repr(names),
                where="dataset.preprocessing.recordings",
                fix="give a list, e.g. dataset.preprocessing.recordings.val=[a,b]",
            )
    return {split: tuple(map(str, names)) for split, names in lists.items() if names}


@dataclass(frozen=True)
class PreprocessConfig:
    """From raw recordings to the dataset layout (RVT's preprocessing).

    Attributes:
        sensor_hw: height and width of the sensor and of the boxes' pixels.
        layout: how recordings and boxes lie in the raw folder, a file of ``data.preprocessing.layouts``.
        recordings: by split, names of recordings that belong to it, wherever they lie.
        class_ids: what class ids of the files become, others are dropped; None: they stay what they are.
        num_raw_classes: boxes of class id 0 .. n − 1 are kept, others dropped on purpose; None: others are an error.
        num_classes: how many classes the dataset has, for that error; None: any id will do.
        min_diag: smallest box diagonal in pixels ("prophesee" filter: 30 on Gen1, 60 on 1Mpx; "conservative": 0).
        min_side: smallest box side in pixels (prophesee: 10 and 20; conservative: 5).
        max_width_splits: splits where boxes wider than 9·W // 10 are dropped.
        representation: what a frame is.
        downsample_by_factor_2: store frames at half resolution; boxes stay in sensor pixels.
        align_t_ms: the first labelled frame is the first label at or after this time.
        base_step_ms: later labels are kept at multiples of this distance (within 2 ms); None infers the multiple of
            the median label step nearest to ``target_step_ms`` (1Mpx: six steps of 60 Hz, three of 30 Hz).
        target_step_ms: see ``base_step_ms``.
        windows_per_label_step: windows per base step; None = round(base step / dt), at least 1 (so Gen1's 250 ms hold
            five 50 ms windows, as in the released dataset; RVT's script has 2).
        label_times: ``rvt``: labels on a grid are kept, see ``align_t_ms`` and ``base_step_ms``; ``nearest``: all from
            ``align_t_ms`` on that lie within the events are, and windows begin with the first event.
        label_tolerance_ms: with ``nearest``, boxes this close together in time are one labelled frame.
        classes: names of the dataset's classes, for box files that have names.
        class_names: what the classes of box files are called in the dataset, see ``data.box_files.classes``.
        keep_events: keep the events of each window beside its frame, for models that read them.
        all_windows: go on with windows from the last label to the end of the recording, and keep recordings without
            any label (for labelling data that nobody has labelled).
    """

    sensor_hw: tuple[int, int]
    layout: str = DEFAULT_LAYOUT
    recordings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    class_ids: ClassIds | None = None
    num_raw_classes: int | None = None
    num_classes: int | None = None
    min_diag: float = 0.0
    min_side: float = 5.0
    max_width_splits: tuple[str, ...] = ("train",)
    representation: RepresentationConfig = field(default_factory=RepresentationConfig)
    downsample_by_factor_2: bool = False
    align_t_ms: float = 100.0
    base_step_ms: float | None = None
    target_step_ms: float = 100.0
    windows_per_label_step: int | None = None
    label_times: str = "rvt"
    label_tolerance_ms: float = 2.0
    keep_events: bool = False
    all_windows: bool = False
    classes: tuple[str, ...] = ()
    class_names: Mapping[str, str | None] | None = None

    def __post_init__(self) -> None:
        right = len(self.sensor_hw) == 2 and all(_is_whole(side) and side >= 2 for side in self.sensor_hw)
        self._require(right, "sensor_hw", "height and width", self.sensor_hw)
        self._require(
            self.representation.dt_ms > 0, "representation.dt_ms", "a length above 0", self.representation.dt_ms
        )
        for name in ("windows_per_label_step", "num_raw_classes"):
            value = getattr(self, name)
            right = value is None or (_is_whole(value) and value > 0)
            self._require(right, f"preprocessing.{name}", "a whole number above 0, or null", value)
        right = set(self.max_width_splits) <= set(SPLITS)
        self._require(right, "preprocessing.max_width_splits", f"some of {', '.join(SPLITS)}", self.max_width_splits)
        for name in ("base_step_ms", "target_step_ms"):
            value = getattr(self, name)
            right = value is None or (_finite(value) and value > 0)
            self._require(right, f"preprocessing.{name}", "a number above 0, or null", value)
        times = self.label_times
        self._require(times in LABEL_TIMES, "preprocessing.label_times", f"one of {', '.join(LABEL_TIMES)}", times)
        for name in ("min_diag", "min_side", "align_t_ms", "label_tolerance_ms"):
            value = getattr(self, name)
            self._require(_finite(value) and value >= 0, f"preprocessing.{name}", "a number of at least 0", value)
        class_ids(self.class_ids, None if self.num_raw_classes else self.num_classes)
        self.representation.build()
        names = self.class_names or {}
        right = isinstance(names, Mapping) and all(isinstance(name, str | None) for name in names.values())
        self._require(right, "preprocessing.class_names", "{name in the box files: name or null}, or null", names)
        _ = self.class_map

    @property
    def class_map(self) -> ClassNames:
        """Class ids by the names and numbers of box files.

        Raises:
            UserError: a name that the dataset does not have.
        """
        renamed = {str(name): target for name, target in (self.class_names or {}).items()}
        return ClassNames(self.classes, renamed)

    @staticmethod
    def _require(condition: bool, key: str, expected: str, got: object) -> None:
        if not condition:
            raise UserError(expected=expected, got=repr(got), where=f"dataset.{key}", fix="change this key")

    def settings(self) -> dict[str, Any]:
        """What decides about a dataset, as JSON has it, with the representation's name: its record of itself says so.

        Keys that have no effect are left out, so that the record of a published scheme stays what it was.
        """
        values = json.loads(json.dumps(asdict(self)))
        classes = values.pop("num_classes")
        if not self.classes:
            del values["classes"]
        if not self.class_names:
            del values["class_names"]
        if self.num_raw_classes is None:
            values["num_raw_classes"] = classes
        if self.published_times:
            for key in OF_OTHER_TIMES:
                del values[key]
        usual = {"layout": DEFAULT_LAYOUT, "recordings": {}, "class_ids": None, "keep_events": False}
        for key, default in usual.items():
            if values[key] == default:
                del values[key]
        values["representation"]["name"] = self.representation.build().name
        return values

    @property
    def published_times(self) -> bool:
        """Label and window times are those of RVT's script."""
        return self.label_times == "rvt"

    @property
    def dt_us(self) -> int:
        """Length of a window in microseconds."""
        return round(self.representation.dt_ms * 1000)

    @property
    def frame_hw(self) -> tuple[int, int]:
        """Height and width of the stored frames."""
        height, width = self.sensor_hw
        return (height // 2, width // 2) if self.downsample_by_factor_2 else (height, width)
