"""Settings of tracking from those of pseudo labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.tracking.filter import TrackFilterConfig
from modules.tracking.joint import JointConfig
from modules.tracking.linear import TrackerConfig
from utils.settings import choice, number, whole

TRACKERS = ("linear", "joint")
_KEY = "model.pseudo_label."


def tracking_config(labels: Mapping[str, Any]) -> TrackFilterConfig:
    """Settings of the tracker that ``pseudo_label`` names.

    Args:
        labels: the keys of ``model.pseudo_label`` as plain containers.

    Raises:
        UserError: a value that cannot be, with the name of its key.
    """
    share = {key: number(labels[key], _KEY + key, most=1) for key in ("iou_threshold", "score_mix", "rival_iou")}
    floor = number(labels["track_floor"], f"{_KEY}track_floor", most=1)
    frames = {key: whole(labels[key], _KEY + key, 0) for key in ("fill_gap", "keep_stopped")}
    joint = choice(labels["tracker"], TRACKERS, f"{_KEY}tracker") == "joint"
    return TrackFilterConfig(
        min_track_len=whole(labels["min_track_len"], f"{_KEY}min_track_len", 0),
        track_method=labels["track_method"],
        inpaint=bool(labels["inpaint"]),
        tracker=TrackerConfig(iou_threshold=share["iou_threshold"]),
        joint=JointConfig(smooth=bool(labels["smooth"]), floor=floor, **share, **frames) if joint else None,
    )
