"""Settings of tracking from those of pseudo labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.tracking.filter import TrackFilterConfig
from modules.tracking.joint import JointConfig
from modules.tracking.linear import TrackerConfig
from utils.errors import UserError
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
    for key in ("smooth", "keep_stopped"):
        if labels[key] and not joint:
            raise without_effect(key, f"{_KEY}tracker=joint", labels)
    return TrackFilterConfig(
        min_track_len=whole(labels["min_track_len"], f"{_KEY}min_track_len", 0),
        track_method=labels["track_method"],
        inpaint=bool(labels["inpaint"]),
        tracker=TrackerConfig(iou_threshold=share["iou_threshold"]),
        joint=JointConfig(smooth=bool(labels["smooth"]), floor=floor, **share, **frames) if joint else None,
    )


def without_effect(name: str, needed: str, labels: Mapping[str, Any]) -> UserError:
    """The message for a key of ``pseudo_label`` that is set and would change nothing.

    Args:
        name: of the key.
        needed: the override with which it has an effect.
        labels: the keys of ``model.pseudo_label`` as plain containers.
    """
    return UserError(
        expected=f"{needed}: without it this key has no effect",
        got=f"{name}={labels[name]}",
        where=_KEY + name,
        fix=f"add {needed}, or take the default of {name} (config/model/_labeller.yaml); "
        "labelling.options of scripts/self_train.py may have set it",
    )
