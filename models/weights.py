"""Load tensors by name into a detector, with messages that name what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from models.registry import spec_of
from utils.errors import UserError

PREFIX = "mdl."
"""Checkpoints of the training module carry the detector under this name (RVT, LEOD)."""

_COMPILED = "_orig_mod."


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


def strip_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of the detector: those below ``mdl.`` if there are any, without it and without torch.compile's wrapper.

    >>> sorted(strip_prefix({"mdl._orig_mod.fpn.x": torch.ones(1), "other": torch.ones(1)}))
    ['fpn.x']
    """
    named = {name.replace(_COMPILED, ""): value for name, value in tensors.items()}
    if any(name.startswith(PREFIX) for name in named):
        return {name.removeprefix(PREFIX): value for name, value in named.items() if name.startswith(PREFIX)}
    return named


def load_tensors(model: nn.Module, state: Mapping[str, Tensor], where: str, *, strict: bool = True) -> LoadReport:
    """Load tensors by name into a detector.

    Args:
        model: the detector, whose ``family`` knows words for sizes.
        state: tensors by these names.
        where: names their source in errors.
        strict: every name and shape must fit; False loads what fits.

    Returns:
        what was loaded, what was left out, and why.

    Raises:
        UserError: they were made for other sizes than the model (or, when not strict, share nothing with it); the
            message names them.
    """
    own, state = model.state_dict(), spec_of(model.family).own_names(state)
    report = _compare(state, own)
    if strict and (report.left_out or report.fresh):
        raise _misfit(model, state, report, where)
    if not report.loaded:
        raise _misfit(model, state, report, where)
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


def _misfit(model: nn.Module, state: Mapping[str, Tensor], report: LoadReport, where: str) -> UserError:
    """Name the sizes where they differ, otherwise the tensors."""
    spec, own = spec_of(model.family), model.state_dict()
    theirs, ours = spec.describe_weights(state), spec.describe_weights(own)
    differ = any(ours.get(name) != size for name, size in theirs.items())
    fix = (
        "choose the dataset and model size of the weights, or other weights; train.py weight_strict=false loads a part"
    )
    if ours and (differ or not theirs):
        channels = theirs.get("input_channels") != ours.get("input_channels")
        built = spec.weights_in_words(ours, channels=channels).removesuffix(" classes")
        return UserError(
            expected=f"weights of the configured model: {spec.weights_in_words(ours, channels=True)}",
            got=f"this file is {spec.weights_in_words(theirs, channels=channels)}; the config builds {built}",
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
