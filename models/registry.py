"""Families of models: each is a package with a ``SPEC``, found by the name of its folder."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from utils.errors import UserError

DEFAULT_FAMILY = "rnndet"
"""What a config without ``model.family`` means: those of checkpoints that were written before the key."""

FOLDERS = "LEOD_MODELS"
"""Environment variable: folders, separated as in PATH, that hold packages of further families."""

ENTRY_POINTS = "leod.models"
"""Group of entry points by which an installed package offers families: its name is the family's."""

Section = Mapping[str, Any]
"""The ``model`` section of a config as plain containers."""


def _keep(section: Section, *_: object) -> dict[str, Any]:
    return dict(section)


def _as_named(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return state


def _nothing(*_: object) -> None:
    return None


def _no_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    return {}


def _no_words(sizes: Mapping[str, Any], *, channels: bool) -> str:
    return "a model of another kind"


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What the rest of the program knows of a family. Its functions leave the section they are given as it is.

    Args:
        family: name of the package's folder, and value of ``model.family``.
        task: what it is for: ``detection`` or ``restoration``.
        payload: what it reads: ``frames``, ``events`` (then ``pillars`` of its section says how) or ``clips``.
        build: from the section to a network with fresh weights; raises a UserError that names the key at fault.
        describe_weights: sizes that can be read off a state dict, by name; nothing for a stranger's.
        weights_in_words: these sizes in words; with ``channels``, input channels among them.
        own_names: tensors of a file under the names of this family, where it is published under others.
        for_frames: the section for frames of another height and width (before padding).
        for_weights: the section for the network that a state dict belongs to; the last argument is the file, for
            messages.
        start_from_pretrained: put in the weights of the file that the section names, if it names one.
        saves_memory: keys below ``model`` and the value of each with which a training takes less memory.
    """

    family: str
    build: Callable[[Section], nn.Module]
    task: str = "detection"
    payload: str = "frames"
    describe_weights: Callable[[Mapping[str, Tensor]], dict[str, Any]] = _no_sizes
    weights_in_words: Callable[..., str] = _no_words
    own_names: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = _as_named
    for_frames: Callable[[Section, tuple[int, int]], dict[str, Any]] = _keep
    for_weights: Callable[[Section, Mapping[str, Tensor], str], dict[str, Any]] = _keep
    start_from_pretrained: Callable[[nn.Module, Section], None] = _nothing
    saves_memory: Mapping[str, Any] = field(default_factory=dict)


def spec_of(family: object) -> ModelSpec:
    """The spec of a family: of a package under ``models``, in a folder of ``LEOD_MODELS``, or of an installed one.

    A config says a name and nothing else: only packages that are already there can be meant by it.

    Raises:
        UserError: there is no such family.
    """
    package = _package(family) if isinstance(family, str) and family.isidentifier() else None
    if package is None:
        raise UserError(
            expected=f"one of {', '.join(families())}",
            got=repr(family),
            where="model.family",
            fix=f"choose one of them, or name the folder that holds a package of this name in {FOLDERS}",
        )
    spec = getattr(package, "SPEC", None)
    if not isinstance(spec, ModelSpec) or spec.family != family:
        raise UserError(
            expected=f"SPEC = ModelSpec(family='{family}', ...)",
            got="no SPEC" if not isinstance(spec, ModelSpec) else f"a SPEC of the family '{spec.family}'",
            where=str(package.__file__),
            fix="let the package hold a SPEC with its own name (docs/ARCHITECTURE.md, a new model)",
        )
    return spec


def spec_of_section(section: Section) -> ModelSpec:
    """The spec of the family that a ``model`` section names.

    Raises:
        UserError: there is no such family.
    """
    return spec_of(section.get("family", DEFAULT_FAMILY))


def spec_for(task: str, section: Section) -> ModelSpec:
    """The spec of the family that a ``model`` section names, for what only models of one task can do.

    Raises:
        UserError: there is no such family, or it is for another task.
    """
    spec = spec_of_section(section)
    if spec.task != task:
        raise UserError(
            expected=f"a model for {task}",
            got=f"'{spec.family}', which is one for {spec.task}",
            where="model.family",
            fix="choose another model or checkpoint",
        )
    return spec


def memory_knobs(section: Section) -> list[str]:
    """Overrides with which a training of this model takes less memory, those that are not yet in force.

    >>> memory_knobs({"backbone": {"use_gradient_checkpointing": False}})
    ['model.backbone.use_gradient_checkpointing=true']
    """
    knobs = []
    for key, saving in spec_of_section(section).saves_memory.items():
        value: Any = section
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value != saving:
            knobs.append(f"model.{key}={str(saving).lower()}")
    return knobs


def families() -> list[str]:
    """Names that ``model.family`` may have; packages outside the tree are told by their folder's name, not imported."""
    inside = [name for name, module in _inside().items() if hasattr(importlib.import_module(module), "SPEC")]
    outside = [path.parent.name for folder in _folders() for path in folder.glob("*/__init__.py")]
    return sorted({*inside, *outside, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})


def _package(family: str) -> ModuleType | None:
    """The package; one of the tree goes before others of its name. What has no SPEC there is a part of others."""
    module = _inside().get(family)
    if module is not None and hasattr(found := importlib.import_module(module), "SPEC"):
        return found
    for folder in _folders():
        if (folder / family / "__init__.py").is_file():
            return _from_folder(folder / family)
    for entry in entry_points(group=ENTRY_POINTS, name=family):
        return _run(entry.load, f"entry point {entry.value}")
    return None


def _run(load: Callable[[], ModuleType], where: str) -> ModuleType:
    """Import what somebody else wrote; whatever goes wrong in it, its author has to hear."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        raise UserError(
            expected="a package that can be imported",
            got=f"{type(error).__name__}: {error}",
            where=where,
            fix="mend the package; its own traceback: python -c 'import runpy; runpy.run_path(FILE)'",
        ) from error


def _inside() -> dict[str, str]:
    """Packages two floors down, ``models.<room>.<name>``, by name."""
    found = sorted(Path(__file__).parent.glob("*/*/__init__.py"))
    return {path.parent.name: ".".join(("models", *path.parts[-3:-1])) for path in found}


def _folders() -> list[Path]:
    folders = [Path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                expected="folders that hold packages of models",
                got="no such folder",
                where=f"{FOLDERS}: {folder}",
                fix="correct the environment variable, or leave it out",
            )
    return folders


@functools.cache
def _from_folder(folder: Path) -> ModuleType:
    """Import a package from where it lies, under a name that hides no other; it names its own files relatively."""
    name = f"leod_models_{folder.name}"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader = spec.loader

    def load() -> ModuleType:
        loader.exec_module(module)
        return module

    return _run(load, str(folder / "__init__.py"))
