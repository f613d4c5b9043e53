"""The network that a checkpoint holds, in place of the one that a command's configuration would build."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.registry import spec_of_section
from modules.checkpoints.files import load_checkpoint_file
from modules.data.kind import check_kind
from utils.differences import differences
from utils.errors import UserError

log = logging.getLogger(__name__)

KIND = ("family", "backbone.name")
"""Keys of ``model`` that say which kind of network it is; older checkpoints lack them and are of the first kind."""

NAMES = ("name", "short_name", "size_name")
"""Keys that only name the settings."""

FREE = (
    # what is done with detections and labels
    *("label", "postprocess", "use_gt", "only_load_labels", "pseudo_label"),
    # what follows the dataset
    *("backbone.input_channels", "backbone.in_res_hw", "backbone.partition_size", "head.num_classes"),
    # how fast it runs, and in how much memory
    *("backbone.compile", "backbone.plain_arithmetic", "backbone.use_gradient_checkpointing", "backbone.lstm.fused"),
    *("clips", "tiles", "vrt.checkpoint_blocks"),
    # what only trainings have: where they begin, dropout, the loss
    *("backbone.pretrained_file", "backbone.T_max_chrono_init"),
    *("backbone.attention.drop_path", "backbone.attention.drop_mlp", "backbone.lstm.drop_cell_update"),
    *("vrt.drop_path", "vrt.identity_init", "spikes.fuse_zero_init", "loss"),
    *("head.ignore_label", "head.ignore_bbox_thresh", "head.bbox_loss_weighting", "head.obj_focal_loss"),
    *("head.ignore_bg_k", "head.use_l1", "head.use_soft_labels", "head.soft_label_weight", "head.temperature"),
)
"""Keys of ``model`` that are as the command says, whatever the checkpoint was trained with."""


def network_of(
    path: Path | str,
    model: Mapping[str, Any],
    given: Mapping[str, tuple[Any, str]],
    classes: Sequence[str] = (),
    folder: Path | str | None = None,
) -> dict[str, Any]:
    """The ``model`` section with the network of a checkpoint's own configuration, which is read as data.

    Keys of ``FREE`` stay as composed, and sections that the checkpoint does not have, unless it is for another task. A
    file without a configuration (weights of RVT or LEOD, or none at all) changes nothing: whoever loads its weights
    compares them.

    Args:
        path: of the checkpoint.
        model: the section as composed; interpolations may be unresolved.
        given: values that the command line asks for, each with its part that does, by their keys below ``model``.
        classes: names of the dataset's classes, if they are known; their numbers are what the network tells.
        folder: of the dataset, if it is to be for the task of the network.

    Raises:
        UserError: something was asked for that contradicts the checkpoint, or the dataset is for another task or has
            other classes than those it was trained on; the message names the key and both values.
    """
    config = _own_config(path)
    own = config.get("model")
    if not isinstance(own, Mapping):
        return dict(model)
    if folder is not None:
        check_kind(own, folder, path)
    _check_classes(config.get("dataset"), list(classes), path)
    for key, (value, source) in given.items():
        _compare(key, _plain(value), source, own, path)
    beside = model if spec_of_section(own).task == spec_of_section(model).task else {}
    result = {**beside, **copy.deepcopy(dict(own))}
    for key in FREE:
        section, _, last = key.rpartition(".")
        ours, theirs = _lookup(model, section), _lookup(result, section)
        wanted = any(_below(name, key) for name in given)
        if isinstance(ours, Mapping) and last in ours and isinstance(theirs, dict) and (last in theirs or wanted):
            theirs[last] = ours[last]
    log.info("the network is that of %s: %s", path, own.get("name", "its own"))
    return result


def shared_network(
    paths: Sequence[Path | str],
    model: Mapping[str, Any],
    given: Mapping[str, tuple[Any, str]],
    classes: Sequence[str] = (),
) -> dict[str, Any]:
    """The network of several checkpoints, as that of the first one that tells its own, see ``network_of``.

    Raises:
        UserError: as there; or another one holds another network, the message names the keys that differ.
    """
    telling = [path for path in paths if isinstance(_own_config(path).get("model"), Mapping)] or paths[:1]
    first, *others = (network_of(path, model, given, classes) for path in telling)
    for path, other in zip(telling[1:], others, strict=True):
        differing = [text for text in differences(first, other, "model.") if not _is_free(text.partition(":")[0])]
        of_kind = [text for text in differing if text.partition(":")[0].removeprefix("model.") in KIND]
        if differing:
            raise UserError(
                expected=f"the same network as in {telling[0]}",
                got="; ".join(of_kind or differing),  # networks of two kinds differ in every key
                where=f"checkpoint={path}",
                fix="give checkpoints of one network, that differ in their training",
            )
    return first


def _is_free(key: str) -> bool:
    """Whether a key, with or without its section, says nothing about the network."""
    name = key.removeprefix("model.")
    return name in NAMES or any(_below(name, free) for free in FREE)


def _check_classes(dataset: Any, classes: list[str], path: Path | str) -> None:
    """Compare names, as far as both are known: in another order, or of other things, they are other classes."""
    trained = list(dataset["classes"]) if isinstance(dataset, Mapping) and "classes" in dataset else []
    if trained == classes or not classes or len(trained) != len(classes):  # another number the weights tell
        return
    as_trained, ordered = ", ".join(map(str, trained)), sorted(map(str, trained)) == sorted(map(str, classes))
    same = f"if they are the same under other names, set dataset.classes=[{as_trained}]; else "
    raise UserError(
        expected=f"classes {'in the order' if ordered else 'as those'} of {path}: [{as_trained}]",
        got=f"[{', '.join(map(str, classes))}]",
        where="dataset.classes",
        fix=same * (not ordered) + "give the dataset whose labels have the same numbers, or train on this one",
    )


def _own_config(path: Path | str) -> Mapping[str, Any]:
    """The configuration that a checkpoint was trained with, empty if the file holds none."""
    try:
        parameters = load_checkpoint_file(path, map_location="meta").get("hyper_parameters")
    except UserError:  # pickled objects, or no checkpoint at all, of which the reader of its weights complains
        return {}
    config = parameters.get("config") if isinstance(parameters, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _compare(key: str, value: Any, source: str, own: Mapping[str, Any], path: Path | str) -> None:
    """Refuse a value that contradicts the checkpoint's.

    Raises:
        UserError: it does.
    """
    theirs = _lookup(own, key)
    if _is_free(key) or theirs == value or (theirs is _ABSENT and key in KIND):
        return
    raise UserError(
        expected=f"no model.{key}, as in the checkpoint"
        if theirs is _ABSENT
        else f"model.{key}={theirs}, as in the checkpoint",
        got=f"model.{key}={value}, by {source}",
        where=f"checkpoint={path}",
        fix=f"leave {source} out, the network is the checkpoint's; or give the checkpoint that was meant",
    )


_ABSENT = object()


def _lookup(section: Mapping[str, Any], key: str) -> Any:
    """What lies at a dotted key, ``_ABSENT`` if nothing does; the section itself at an empty one."""
    node: Any = section
    for part in key.split(".") if key else ():
        if not isinstance(node, Mapping) or part not in node:
            return _ABSENT
        node = node[part]
    return _plain(node)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _below(key: str, above: str) -> bool:
    return key == above or key.startswith(f"{above}.")
