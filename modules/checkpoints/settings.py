"""A run knows its settings: with others it neither goes on nor counts as done, unless they are allowed to change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from models.registry import spec_of_section
from modules.checkpoints.names import CHANGES, CONFIG
from utils.atomic import write_json, write_text
from utils.errors import UserError
from utils.json_files import read_json

MAY_CHANGE = (
    "hardware", "logging", "wandb", "output", "checkpointing", "validation", "checkpoint", "weight_strict", "resume",
    "allow_share", "allow_unfinished", "batch_size.eval", "training.max_steps", "training.max_epochs",
    "training.max_time", "training.on_bad_loss", "training.on_bad_sequence", "training.dynamic_batch_size",
    "training.lr_scheduler.use", "reproduce.deterministic_flag", "reproduce.benchmark", "dataset.preprocessing",
    "dataset.pseudo_label", "model.name", "model.short_name", "model.size_name", "model.postprocess",
    "model.pseudo_label", "model.backbone.compile", "model.backbone.lstm.fused",
)  # fmt: skip
"""Keys, with all below them, that say where, how long and how fast a run trains, or what is told of it; not what it
becomes. Thresholds of pseudo labels are compared where they take effect, in the model's head."""

_SECTIONS = ("semi",)
"""Sections that a configuration may lack: with and without one it is another run."""

_PLACES = ("dataset.path", "dataset.split_file", "weight")
_NOT_NOTED = ("output", "checkpoint", "resume")
TOTAL_STEPS = "training.lr_scheduler.total_steps"

Changes = dict[str, tuple[Any, Any]]
"""What a setting was and what it is, by its key."""


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    """Settings that differ; what only one of them has, as of another release, is no difference.

    >>> changed_settings({"training": {"max_steps": 4}, "weight": None}, {"training": {"max_steps": 6}, "more": 1})
    {'training.max_steps': (4, 6)}
    """
    old, new = dict(_leaves(before)), dict(_leaves(now))
    given = {key: (_given(key in before), _given(key in now)) for key in _SECTIONS if (key in before) != (key in now)}
    changed = {key: (value, new[key]) for key, value in old.items() if key in new and not _same(key, value, new[key])}
    return given | changed


def _given(there: bool) -> str:
    return "given" if there else "not given"


def check_settings(
    before: Mapping[str, Any], now: Mapping[str, Any], where: Path, allow: Collection[str] = (), *, trains: bool = True
) -> Changes:
    """Refuse settings that make another run of it.

    Args:
        before: the configuration that the run has used, as plain containers.
        now: the one that is asked for.
        where: the file that tells of it.
        allow: keys that may change this time (``resume.allow``), with all below them.
        trains: whether the run is to go on; if it is over, the length of the cycle follows from its steps.

    Returns:
        what has changed and may.

    Raises:
        UserError: other keys differ; the message lists them with both values.
    """
    changes = changed_settings(before, now)
    may = (*MAY_CHANGE, *allow, *(f"model.{key}" for key in spec_of_section(now["model"]).saves_memory))
    if now["training"]["dynamic_batch_size"]["enabled"]:
        may += ("batch_size.train",)
    if changes.get("weight", ("", ""))[1] is None:  # it counts at the start only
        may += ("weight",)
    if not (trains and now["training"]["lr_scheduler"]["use"]):
        may += (TOTAL_STEPS,)
    refused = {key: values for key, values in changes.items() if not below(key, may)}
    if refused:
        keys, since = ",".join(refused), _since(where.parent, refused)
        raise UserError(
            expected=f"the settings of this run ({where})",
            got="; ".join(f"{key} is {now}, was {was}{since[key]}" for key, (was, now) in refused.items()),
            where=", ".join(refused),
            fix="for a run of its own choose another output.dir or output.name; to go on with this one take the values "
            f"back, or let them change: 'resume.allow=[{keys}]'",
        )
    return changes


def _since(folder: Path, refused: Changes) -> dict[str, str]:
    """For each key, since when a run has the value it has, if it began with another one: for messages."""
    told = dict.fromkeys(refused, "")
    for entry in _history(folder):
        told |= dict.fromkeys(told.keys() & entry["changed"], f" since step {entry['from_step']} ({folder / CHANGES})")
    return told


def _history(folder: Path) -> list[dict[str, Any]]:
    """What ``write_config`` has noted; a file that cannot be read is a UserError."""
    if not (folder / CHANGES).is_file():
        return []
    kind = [{"from_step": int, "changed": dict}]
    fix = "remove the file: it only tells what has changed"
    return read_json(folder / CHANGES, kind, expected="what a run has changed at which step", fix=fix)


def read_config(folder: Path) -> dict[str, Any] | None:
    """The configuration in the folder of a run, None where there is none that can be read."""
    try:
        found = OmegaConf.to_container(OmegaConf.load(folder / CONFIG), resolve=True)
    except (OSError, ValueError, YAMLError):
        return None
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else None


def noted(changes: Changes) -> Changes:
    """Those that are told and kept: not where the files of the run are."""
    return {key: values for key, values in changes.items() if not below(key, _NOT_NOTED)}


def write_config(folder: Path, config: Mapping[str, Any], changes: Changes, step: int) -> None:
    """Keep what a run uses from now on, and what has changed at which step.

    Args:
        folder: of the run.
        config: as plain containers.
        changes: against what it has used so far.
        step: optimiser steps it has made.
    """
    history = _history(folder)
    entry = {"from_step": step, "changed": {key: list(values) for key, values in noted(changes).items()}}
    if entry["changed"] and entry not in history[-1:]:
        write_json(folder / CHANGES, [*history, entry])
    write_text(folder / CONFIG, OmegaConf.to_yaml(dict(config)))


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping) or not node:
        yield key, node
        return
    for name, value in node.items():
        yield from _leaves(value, f"{key}.{name}" if key else str(name))


def _same(key: str, before: Any, now: Any) -> bool:
    if key in _PLACES and isinstance(before, str) and isinstance(now, str):
        return Path(before).resolve() == Path(now).resolve()
    return before == now


def below(key: str, keys: Collection[str]) -> bool:
    """Whether a key is one of these, or lies below one."""
    return any(key == each or key.startswith(f"{each}.") for each in keys)
