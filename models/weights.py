"""Load detector weights from checkpoint files, with messages that name what does not fit."""

from __future__ import annotations

import logging
import pickle  # for the name of its error
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.inert_pickle import Placeholder, read_inert, tensors_within
from models.weight_names import describe, in_words
from utils.errors import UserError

log = logging.getLogger(__name__)

PREFIX = "mdl."
"""Checkpoints of the training module carry the detector under this name (RVT, LEOD)."""

_COMPILED = "_orig_mod."
_CONVERTER = "python scripts/convert_checkpoint.py FILE PLAIN.ckpt (nothing of the file is run)"


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors and of the model's.

    Args:
        loaded: names that were loaded.
        left_out: tensors of the file that were not, with the reason.
        fresh: tensors of the model that keep their values, with the reason.
    """

    loaded: list[str]
    left_out: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Lines: counts, then every name with its reason."""
        counts = f"loaded {len(self.loaded)}, left out {len(self.left_out)} of the file, kept {len(self.fresh)} fresh"
        left = [f"  left out {name}: {reason}" for name, reason in self.left_out.items()]
        fresh = [f"  fresh    {name}: {reason}" for name, reason in self.fresh.items()]
        return "\n".join([f"weights: {counts}", *left, *fresh])


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Read the detector's tensors from a Lightning checkpoint or a plain state dict file.

    Files with other pickled objects beside the tensors (settings of RVT's and LEOD's training programs, for one) are
    read without making these objects; see :mod:`models.inert_pickle`.

    Args:
        path: file written by ``torch.save``; a leading ``mdl.`` of the names is removed.

    Returns:
        tensors by name, on the CPU.

    Raises:
        UserError: the file is missing, is no checkpoint, or has no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            expected="a checkpoint file", got="no such file", where=str(path), fix="check the checkpoint path"
        )
    try:
        return _extract(torch.load(path, map_location="cpu", weights_only=True), path)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        refused = error
    try:
        content, unknown = read_inert(path)
    except pickle.UnpicklingError:
        # torch's own text advises to switch its safety off.
        text = str(refused).strip().splitlines()
        advice = not text or "weights_only" in text[0]
        raise UserError(
            expected="a checkpoint written by torch.save",
            got=f"a file that is none ({type(refused).__name__})" if advice else text[0],
            where=str(path),
            fix="give a whole checkpoint of this project, of RVT or of LEOD",
        ) from refused
    state = _extract(content, path)
    log.info("%s holds objects beside its tensors (%s); they were ignored, nothing was run", path, ", ".join(unknown))
    return {name: tensor.clone() for name, tensor in state.items()}


def _extract(content: Any, path: Path) -> dict[str, Tensor]:
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, Mapping) else {}
    if not tensors:
        whole_module = bool(tensors_within(content))
        raise UserError(
            expected="a state dict, or a checkpoint with one under 'state_dict'",
            got="a whole pickled module" if whole_module else _kind(content),
            where=str(path),
            fix=_CONVERTER if whole_module else "give a checkpoint of this project, of RVT or of LEOD",
        )
    return strip_prefix(tensors)


def _kind(content: Any) -> str:
    if isinstance(content, Placeholder):
        return "some pickled object"
    return "no tensors" if isinstance(content, Mapping) else type(content).__name__


def strip_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of the detector: those below ``mdl.`` if there are any, without it and without torch.compile's wrapper.

    >>> sorted(strip_prefix({"mdl._orig_mod.fpn.x": torch.ones(1), "other": torch.ones(1)}))
    ['fpn.x']
    """
    named = {name.replace(_COMPILED, ""): value for name, value in tensors.items()}
    if any(name.startswith(PREFIX) for name in named):
        return {name.removeprefix(PREFIX): value for name, value in named.items() if name.startswith(PREFIX)}
    return named


def load_weights(model: nn.Module, path: Path | str, *, strict: bool = True) -> LoadReport:
    """Load a checkpoint file into a detector.

    Args:
        model: the detector (its names start with ``backbone.``, ``fpn.``, ``yolox_head.``).
        path: the checkpoint.
        strict: every name and shape must fit; False loads what fits.

    Returns:
        what was loaded, what was left out, and why.

    Raises:
        UserError: the file cannot be read, or was made for other sizes than the model (or, when not strict, shares
            nothing with it); the message names them.
    """
    return load_tensors(model, read_state_dict(path), where=str(path), strict=strict)


def load_tensors(model: nn.Module, state: Mapping[str, Tensor], where: str, *, strict: bool = True) -> LoadReport:
    """Load tensors by name into a model, as :func:`load_weights` does; ``where`` names their source in errors."""
    own = model.state_dict()
    report = _compare(state, own)
    if strict and (report.left_out or report.fresh):
        raise _misfit(state, own, report, where)
    if not report.loaded:
        raise _misfit(state, own, report, where)
    model.load_state_dict({name: state[name] for name in report.loaded}, strict=strict)
    return report


def _compare(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> LoadReport:
    fits = [name for name in own if name in state and own[name].shape == state[name].shape]
    left_out, fresh = {}, {}
    for name, value in state.items():
        if name not in own:
            left_out[name] = "the configured model has no such tensor"
        elif own[name].shape != value.shape:
            left_out[name] = f"shape {tuple(value.shape)} in place of {tuple(own[name].shape)}"
            fresh[name] = f"the file has shape {tuple(value.shape)}"
    for name in own:
        if name not in state:
            fresh[name] = "not in the file"
    return LoadReport(fits, left_out, fresh)


def _misfit(state: Mapping[str, Tensor], own: Mapping[str, Tensor], report: LoadReport, where: str) -> UserError:
    """Name the sizes where they differ, otherwise the tensors."""
    theirs, ours = describe(state), describe(own)
    differ = any(ours.get(name) != size for name, size in theirs.items())
    fix = (
        "choose the dataset and model size of the weights, or other weights; train.py weight_strict=false loads a part"
    )
    if differ or not theirs:
        channels = theirs.get("input_channels") != ours.get("input_channels")
        built = in_words(ours, channels=channels).removesuffix(" classes")
        return UserError(
            expected=f"weights of the configured model: {in_words(ours, channels=True)}",
            got=f"this file is {in_words(theirs, channels=channels)}; the config builds {built}",
            where=where,
            fix=fix,
        )
    return UserError(
        expected=f"exactly the {len(own)} tensors of the configured model",
        got="; ".join(_problems(state, own, report)),
        where=where,
        fix=fix,
    )


def _problems(state: Mapping[str, Tensor], own: Mapping[str, Tensor], report: LoadReport) -> list[str]:
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    shapes = [name for name in report.fresh if name in state]
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
