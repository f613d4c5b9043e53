"""The running command's configuration composed again, with other overrides: to compare, never to run with."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


def composed(name: str, overrides: Sequence[str]) -> DictConfig:
    """A configuration, to be read only; found where the command's own files are found.

    Args:
        name: of the primary config, or of a file of a group.
        overrides: as on the command line.
    """
    places = GlobalHydra.instance().config_loader().get_search_path().get_path()
    return _compose(tuple(str(place) for place in places), name, (*search_overrides(), *overrides))


def command_name() -> str:
    """Name of the command's primary config."""
    name = HydraConfig.get().job.config_name
    assert name is not None, "commands have a primary config"
    return name


def search_overrides() -> list[str]:
    """Overrides of Hydra itself: folders in which files are looked for, for one."""
    return [text for text in HydraConfig.get().overrides.hydra if text.startswith("hydra.searchpath")]


def on_command_line(key: str) -> bool:
    """Whether the running command sets a key itself."""
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    return any(text.lstrip("+").partition("=")[0] == key for text in given)


@functools.lru_cache(maxsize=64)
def _compose(places: tuple[str, ...], name: str, overrides: tuple[str, ...]) -> DictConfig:
    return hydra.compose(name, list(overrides))
