"""Detector weights from files: checkpoints of this project, of RVT and of LEOD."""

from __future__ import annotations

import logging
import pickle  # for the name of its error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.weights import LoadReport, load_tensors, strip_prefix
from modules.checkpoints.files import load_checkpoint_file
from modules.weights.inert_pickle import Placeholder, read_inert, tensors_within
from utils.errors import UserError

log = logging.getLogger(__name__)

_CONVERTER = "python scripts/convert_checkpoint.py FILE PLAIN.ckpt (nothing of the file is run)"


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Read the detector's tensors from a Lightning checkpoint or a plain state dict file.

    Files with other pickled objects beside the tensors (settings of RVT's and LEOD's training programs, for one) are
    read without making these objects; see :mod:`modules.weights.inert_pickle`.

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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's restricted reader fails in any way on a damaged file
        refused = error
    else:
        return _extract(content, path)
    try:
        content, unknown = read_inert(path)
    except pickle.UnpicklingError:
        # torch's own text advises to switch its safety off.
        text = str(refused).strip().splitlines()
        advice = not text or "weights_only" in text[0] or not isinstance(refused, (RuntimeError, OSError))
        raise UserError(
            expected="a checkpoint written by torch.save",
            got=f"a file that is none ({type(refused).__name__})" if advice else text[0],
            where=str(path),
            fix="give a whole checkpoint of this project, of RVT or of LEOD",
        ) from refused
    state = _extract(content, path)
    log.info("%s holds objects beside its tensors (%s); they were ignored, nothing was run", path, ", ".join(unknown))
    return {name: tensor.clone() for name, tensor in state.items()}


def read_checkpoint(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any] | None]:
    """All that a file holds.

    Args:
        path: a checkpoint of this project, or what ``read_state_dict`` reads.

    Returns:
        the checkpoint, empty where objects lie beside the tensors; the detector's tensors by name, on the CPU; and the
        configuration it was trained with, None if the file holds none.

    Raises:
        UserError: see ``read_state_dict``.
    """
    try:
        content = load_checkpoint_file(path)
    except UserError:
        content = {}  # pickled objects, or no checkpoint at all, of which the next reader complains
    state = strip_prefix(content["state_dict"]) if "state_dict" in content else read_state_dict(path)
    parameters = content.get("hyper_parameters")
    return content, state, parameters.get("config") if isinstance(parameters, Mapping) else None


def _extract(content: Any, path: Path) -> dict[str, Tensor]:
    within = content if isinstance(content, Mapping) else {}
    names = (name for name in ("state_dict", "model", "params") if name in within)  # as Lightning, DETR and VRT have it
    state = within.get(next(names, ""), within)
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


def load_weights(model: nn.Module, path: Path | str, *, strict: bool = True) -> LoadReport:
    """Load a checkpoint file into a detector.

    Args:
        model: the detector.
        path: the checkpoint.
        strict: every name and shape must fit; False loads what fits.

    Returns:
        what was loaded, what was left out, and why.

    Raises:
        UserError: the file cannot be read, or was made for other sizes than the model (or, when not strict, shares
            nothing with it); the message names them.
    """
    return load_tensors(model, read_state_dict(path), where=str(path), strict=strict)
