"""Load detector weights from checkpoint files, with messages that name what does not fit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UserError

PREFIX = "mdl."
"""Checkpoints of the training module carry the detector under this name (RVT, LEOD)."""

_STEM = "backbone.stages.0.downsample_cf2cl.conv.weight"
_CLASSES = "yolox_head.cls_preds.0.weight"
_HEAD_STEM = "yolox_head.stems.0.conv.weight"
_BOTTLENECK = "fpn.C3_p4.m."


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Read the detector's tensors from a Lightning checkpoint or a plain state dict file.

    Args:
        path: file written by ``torch.save``; a leading ``mdl.`` of the names is removed.

    Returns:
        tensors by name, on the CPU.

    Raises:
        UserError: the file is missing, is not a checkpoint, or would run code when loaded.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            expected="a checkpoint file", got="no such file", where=str(path), fix="check the checkpoint path"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            expected="a checkpoint that torch.load(weights_only=True) accepts",
            got=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            where=str(path),
            fix="re-save it as a plain state dict: torch.save({'state_dict': tensors}, path)",
        ) from error
    return _extract(content, path)


def _extract(content: Any, path: Path) -> dict[str, Tensor]:
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, Mapping) else {}
    if not tensors:
        raise UserError(
            expected="a state dict, or a checkpoint with one under 'state_dict'",
            got=type(content).__name__,
            where=str(path),
            fix="give a checkpoint of this project, of RVT or of LEOD",
        )
    if any(name.startswith(PREFIX) for name in tensors):
        return {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    return tensors


def describe(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Sizes that can be read off a state dict: those of embed_dim, input_channels, num_classes, bottlenecks present.

    >>> describe({"backbone.stages.0.downsample_cf2cl.conv.weight": torch.zeros(32, 20, 7, 7)})
    {'embed_dim': 32, 'input_channels': 20}
    """
    sizes: dict[str, int] = {}
    if _STEM in state:
        sizes["embed_dim"] = state[_STEM].shape[0]
        sizes["input_channels"] = state[_STEM].shape[1]
    if _CLASSES in state:
        sizes["num_classes"] = state[_CLASSES].shape[0]
    blocks = {name.removeprefix(_BOTTLENECK).split(".")[0] for name in state if name.startswith(_BOTTLENECK)}
    if blocks:
        sizes["fpn_bottlenecks"] = len(blocks)
    return sizes


def _words(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Load a checkpoint file into a detector; every name and shape must fit.

    Args:
        model: the detector (its names start with ``backbone.``, ``fpn.``, ``yolox_head.``).
        path: the checkpoint.

    Raises:
        UserError: the file cannot be read, or was made for other sizes than the model; the message names them.
    """
    load_tensors(model, read_state_dict(path), where=str(path))


def load_tensors(model: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load tensors by name into a model, as :func:`load_weights` does; ``where`` names their source in errors."""
    own = model.state_dict()
    theirs, ours = describe(state), describe(own)
    names = [name for name in ours if name in theirs and ours[name] != theirs[name]]
    if names:
        raise UserError(
            expected=f"weights for the configured model: {_words({n: ours[n] for n in names})}",
            got=f"this file is for {_words({n: theirs[n] for n in names})}",
            where=where,
            fix="choose the dataset and model size the weights were trained with, or other weights",
        )
    problems = _problems(state, own)
    if problems:
        raise UserError(
            expected=f"exactly the {len(own)} tensors of the configured model",
            got="; ".join(problems),
            where=where,
            fix="choose the model the weights were trained with, or other weights",
        )
    model.load_state_dict(dict(state), strict=True)


def _problems(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    shapes = [name for name in own if name in state and own[name].shape != state[name].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} missing, first {missing[0]}")
    if unknown:
        problems.append(f"{len(unknown)} unknown, first {unknown[0]}")
    if shapes:
        name = shapes[0]
        sizes = f"{tuple(state[name].shape)} in place of {tuple(own[name].shape)}"
        problems.append(f"{len(shapes)} of another shape, first {name}: {sizes}")
    return problems
