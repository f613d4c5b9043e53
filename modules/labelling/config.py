"""Settings of the labeller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from data.representations.names import known_kind
from models.registry import spec_of_section
from modules.evaluation.agreement import Agreement, agreement_from_config
from modules.evaluation.views import NMS_THRESHOLD
from modules.labelling.frequency import Frequency
from modules.labelling.precision import Precision
from modules.labelling.selection import ScoreThresholds, Selection
from modules.labelling.teachers import teacher_files
from modules.tracking.filter import TrackFilterConfig
from modules.tracking.settings import tracking_config, without_effect
from utils.boxes import ScoreLimits
from utils.errors import UserError
from utils.settings import choice, number
from utils.thresholds import kinds_of, per_class


@dataclass(frozen=True)
class PseudoLabelerConfig:
    """Everything that decides the labels, apart from the detector and the data.

    Attributes:
        ev_repr_name: name of the representation.
        sensor_hw: full resolution, pixels.
        downsampled: frames have half of it.
        classes: names in the order of their ids.
        thresholds: scores above which a detection is kept.
        use_gt: frames with ground truth keep it and get no pseudo boxes.
        hflip: a mirrored view.
        tflip: a time-reversed view.
        tflip_offset: reversed frame i sees the labels of frame i + offset.
        nms_threshold: overlap above which boxes of several views are one.
        tracking: which boxes are kept.
        keep_views: keep the boxes of all views before merging and tracking, to measure what each step brings.
        agreement: how views are merged by agreement; None for NMS.
        frequency: thresholds follow from the frequency of classes; None: they do not.
        precision: ... from the precision on labelled frames; with neither they are ``thresholds``.
        unsure: scores above which a detection that is no label is to be ignored in training; None: it is dropped.
        teachers: detectors that label together, each of which sees every view; None: one.
        drop_events: share of the events that a further view of the forward pass lacks; None: there is none.
    """

    ev_repr_name: str
    sensor_hw: tuple[int, int]
    downsampled: bool
    classes: tuple[str, ...]
    thresholds: ScoreThresholds
    use_gt: bool = True
    hflip: bool = False
    tflip: bool = False
    tflip_offset: int = -1
    nms_threshold: float = NMS_THRESHOLD
    tracking: TrackFilterConfig = field(default_factory=TrackFilterConfig)
    keep_views: bool = False
    agreement: Agreement | None = None
    frequency: Frequency | None = None
    precision: Precision | None = None
    unsure: ScoreThresholds | None = None
    teachers: int | None = None
    drop_events: float | None = None

    def settings(self) -> dict[str, Any]:
        """All of it for a manifest; parts that are not used are left out."""
        return _used(asdict(self))

    @property
    def rule(self) -> Frequency | Precision | None:
        """By which thresholds follow from the boxes of all sequences; None: they are given."""
        return self.frequency or self.precision

    @property
    def chooses_late(self) -> bool:
        """Labels are chosen from merged or tracked boxes, whose scores are not those of any view."""
        return self.agreement is not None or self.rule is not None or self.tracking.repairs

    def before_merging(self) -> ScoreThresholds:
        """Scores above which a box of a single view is kept."""
        late = self.agreement or self.rule
        if late is not None:
            return self.thresholds.everywhere(late.floor)
        least = self.thresholds if self.unsure is None else self.thresholds.or_less(self.unsure)
        joint = self.tracking.joint if self.tracking.repairs else None
        return least if joint is None else least.or_less(least.everywhere(joint.floor))

    def selection(self, sure: ScoreLimits | None = None, unsure: ScoreLimits | None = None) -> Selection | None:
        """How labels are chosen from merged boxes; None where all of them are labels.

        Args:
            sure: least scores of labels in place of ``thresholds``.
            unsure: and of boxes to ignore in place of ``unsure``.
        """
        if not self.chooses_late and self.unsure is None:
            return None
        return Selection(sure or self.thresholds, unsure or self.unsure)


def pseudo_labeler_config(config: Mapping[str, Any]) -> PseudoLabelerConfig:
    """Settings of the labeller from the composed configuration.

    Raises:
        UserError: a value that cannot be, with the name of its key.
    """
    dataset, model, tta = config["dataset"], config["model"], config["tta"]
    labels = model["pseudo_label"]
    height, width = dataset["sensor_hw"]
    classes, kinds = dataset["classes"], kinds_of(dataset)
    teachers = len(teacher_files(config))
    unsure, key = labels["unsure_thresh"], "model.pseudo_label.unsure_thresh"
    return PseudoLabelerConfig(
        ev_repr_name=dataset["representation"]["name"],
        sensor_hw=(int(height), int(width)),
        downsampled=bool(dataset["downsample_by_factor_2"]),
        classes=tuple(classes),
        thresholds=ScoreThresholds.of(labels["obj_thresh"], labels["cls_thresh"], kinds, classes),
        use_gt=bool(model["use_gt"]),
        hflip=bool(tta["enable"] and tta["hflip"]),
        tflip=bool(tta["enable"] and tta["tflip"]),
        tflip_offset=int(dataset["tflip_offset"]),
        nms_threshold=number(model["postprocess"]["nms_threshold"], "model.postprocess.nms_threshold", most=1),
        tracking=tracking_config(labels),
        keep_views=bool(labels["keep_views"]),
        agreement=agreement_from_config(config),
        frequency=_frequency(labels, tta),
        precision=_precision(labels, tta),
        unsure=None if unsure is None else ScoreThresholds(*[per_class(unsure, kinds, key, classes)] * 2),
        teachers=teachers if teachers > 1 else None,
        drop_events=_drop_events(config),
    )


def _used(values: Mapping[str, Any]) -> dict[str, Any]:
    parts = {key: _used(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    return {key: value for key, value in parts.items() if value is not None}


def _drop_events(config: Mapping[str, Any]) -> float | None:
    tta, key = config["tta"], "tta.drop_events"
    if not tta["enable"] or tta["drop_events"] is None:
        return None
    kind = config["dataset"]["representation"]["kind"]
    raw = spec_of_section(config["model"]).payload != "frames"
    if raw or not known_kind(kind).counts:
        raise UserError(
            expected="frames that count events, of which some can be left out",
            got="a model that reads raw events" if raw else f"dataset.representation.kind={kind}",
            where=key,
            fix=f"set {key}=null, or label frames of dataset.representation.kind=stacked_histogram",
        )
    return number(tta["drop_events"], key, least=0.01, most=0.99)


def _frequency(labels: Mapping[str, Any], tta: Mapping[str, Any]) -> Frequency | None:
    key = "model.pseudo_label."
    kind = choice(labels["thresholds"], ("fixed", "frequency", "precision"), f"{key}thresholds")
    factor = number(labels["frequency_factor"], f"{key}frequency_factor")
    unsure = labels["unsure_factor"]
    unsure = None if unsure is None else number(unsure, f"{key}unsure_factor")
    for given, name, needed in (
        (unsure, "unsure_factor", "frequency"),
        (labels["unsure_precision"], "unsure_precision", "precision"),
        (labels["unsure_thresh"], "unsure_thresh", "fixed"),
    ):
        if given is not None and kind != needed:
            raise without_effect(name, f"{key}thresholds={needed}", labels)
    if kind != "frequency":
        return None
    if factor == 0:
        raise UserError(
            expected="a number above 0",
            got="0: no labels at all",
            where=f"{key}frequency_factor",
            fix="set it, e.g. 0.8",
        )
    if unsure is not None and unsure < factor:
        raise UserError(
            expected=f"a number from frequency_factor={factor:g} on: labels and boxes to ignore, counted together",
            got=f"{unsure:g}",
            where=f"{key}unsure_factor",
            fix=f"set {key}unsure_factor={1.5 * factor:g}, or null to ignore no box for its score",
        )
    return Frequency(factor, unsure, number(tta["merge_floor"], "tta.merge_floor", most=1))


def _precision(labels: Mapping[str, Any], tta: Mapping[str, Any]) -> Precision | None:
    if labels["thresholds"] != "precision":
        return None
    key, unsure = "model.pseudo_label.", labels["unsure_precision"]
    target = number(labels["precision_target"], f"{key}precision_target", least=0.01, most=1)
    if unsure is not None:
        unsure = number(unsure, f"{key}unsure_precision", most=target)
    return Precision(target, unsure, number(tta["merge_floor"], "tta.merge_floor", most=1))
