"""Values of another kind than the configuration's files give their keys: one message, before anything reads them."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from utils.commands.composed import command_name, composed
from utils.commands.path_overrides import PATH_KEYS, as_value
from utils.errors import UserError

_FREE = re.compile(
    r"training\.precision|hardware\.gpus|slurm\..*"  # words, numbers and lists
    r"|(dataset|model)\.pseudo_label\.\w+_thresh"  # numbers in many forms, see utils.thresholds
    r"|(dataset|model\.head)\.ignore_\w*thresh"
)
"""Keys that take several kinds and are checked by those who read them."""

_NULL_TOO = re.compile(
    r"reproduce\.seed_everything|threads|frames_read|path|labels\.\w+"
    r"|dataset\.preprocessing\.base_step_ms|dataset\.representation\.count_cutoff|model\.max_candidates"
)
"""Keys that may be null though a value is given for them."""

_FOLDER = "dataset.representation.name"

_SEVERAL_CHECKPOINTS = ("predict",)
"""Commands that take a list of them, too."""

_UNSET: dict[str, Any] = {
    "dataset.preprocessing.num_raw_classes": 2,
    "dataset.preprocessing.windows_per_label_step": 5,
    "dataset.preprocessing.class_names": {},
    "model.vrt.single_frame_stages": [9],
}
"""What keys that the files leave null or empty are like when they are set."""


def check_kinds(cfg: DictConfig) -> None:
    """Compare a command's configuration with what its files say: sections, numbers, words, lists and switches stay so.

    The files are those that are taken without choices, but for the model: another one has keys of its own, so it is
    compared with the file that was chosen. What is null there, or stands nowhere, may be anything.

    Args:
        cfg: as Hydra composed it.

    Raises:
        UserError: a value of another kind, with its key.
    """
    if not (HydraConfig.initialized() and GlobalHydra.instance().is_initialized()):
        return
    model = [text for text in HydraConfig.get().overrides.task if re.match(r"\+?model(/\w+)?(@\w+)?=", text)]
    usual = OmegaConf.to_container(composed(command_name(), model))
    given = OmegaConf.to_container(cfg)
    assert isinstance(usual, dict), "the primary configs are mappings"
    assert isinstance(given, dict), "the primary configs are mappings"
    compare_kinds(usual, given)
    for key in PATH_KEYS:
        if _at(given, key) == "":
            raise UserError(expected="a path", got="''", where=key, fix=f"set {key}=PATH (. is the folder you are in)")
    if isinstance(given.get("checkpoint"), list) and command_name() not in _SEVERAL_CHECKPOINTS:
        fix = f"give one; several label together: {', '.join(_SEVERAL_CHECKPOINTS)}.py"
        raise UserError(expected="one path", got=str(given["checkpoint"]), where="checkpoint", fix=fix)
    name = _at(given, _FOLDER)
    if name is not None and not (isinstance(name, str) and name.strip(".") and PurePath(name).name == name):
        raise UserError(expected="the name of a folder", got=repr(name), where=_FOLDER, fix=f"set {_FOLDER}=NAME")


def _at(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def compare_kinds(usual: Mapping[Any, Any], given: Mapping[Any, Any], above: str = "") -> None:
    """Compare two sections of plain containers, interpolations unresolved; arguments and errors as ``check_kinds``."""
    for name, before in usual.items():
        key = f"{above}{name}"
        unset, before = before is None, _UNSET.get(key, before) if before in (None, []) else before
        if name not in given or before is None or _FREE.fullmatch(key) or (unset and given[name] is None):
            continue
        value = given[name]
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            compare_kinds(before, value, f"{key}.")
        elif not _agrees(before, value, key):
            expected, fix = _in_words(before, value, key)
            expected += ", each once" * (key.endswith(".classes") and isinstance(value, list))
            raise UserError(expected=expected, got="null" if value is None else repr(value), where=key, fix=fix)


def _agrees(before: Any, value: Any, key: str) -> bool:
    if value is None:
        return _NULL_TOO.fullmatch(key) is not None
    if isinstance(value, str) and ("${" in value or value == "???"):
        return True
    if isinstance(before, bool):
        return value in (True, False) and isinstance(value, int)
    if isinstance(before, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(before, str):
        return ("${" in before and not key.endswith("name")) or not isinstance(value, Mapping | list)
    if isinstance(before, list) and isinstance(value, list):
        like = before[0] if before else "a word"
        if key.endswith(".classes"):  # a number may be a name
            named = all(isinstance(each, str | int) and not isinstance(each, bool) for each in value)
            return named and len(set(map(str, value))) == len(value)
        return all(_agrees(like, each, key) and _is_word(like, each) for each in value)
    return isinstance(value, type(before))


def _is_word(like: Any, value: Any) -> bool:
    """What stands in a list of words must be a word: numbers would be taken for positions or names."""
    return isinstance(value, str) or not isinstance(like, str)


def _in_words(before: Any, value: Any, key: str) -> tuple[str, str]:
    """What is expected, and what to do."""
    if isinstance(before, bool):
        return "true or false", f"set {key}=true or {key}=false"
    if isinstance(before, int | float):
        return "a number", f"set a number, e.g. {key}={before}"
    if isinstance(before, str):
        return "a value", f"set {key}=VALUE, or leave it out"
    if isinstance(before, list):
        kind = "numbers" if before and not isinstance(before[0], str) else "words"
        plain = f"[{','.join(map(str, before))}]"
        example = f"{key}={plain}" if "=" not in plain else shlex.quote(f"{key}={as_value(plain)}")
        if isinstance(value, str) and not before:
            listed = value if value.startswith("[") else f"[{value}]"
            example = shlex.quote(f"{key}={as_value(listed)}")
        return f"a list of {kind}", f"give a list, e.g. {example}"
    names = [str(name) for name in before]
    example = f"set one of them, e.g. {key}.{names[0]}=..., or" if names else f"give {key}={{NAME:VALUE}}, or"
    return f"keys below it: {', '.join(names)}" if names else "a mapping", f"{example} leave {key} out"
