"""Parts of the composed config that belong to one dataclass."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from utils.errors import UserError


def section(cfg: DictConfig, key: str) -> dict[str, Any]:
    """The mapping under a key, as plain containers.

    Args:
        cfg: the composed config.
        key: e.g. ``logging.health``.

    Raises:
        UserError: the mapping was replaced by a single value.
    """
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig):
        names = ", ".join(_NAMES.get(key, ()))
        raise UserError(
            expected=f"keys below it: {names}" if names else "keys below it",
            got=repr(node),
            where=key,
            fix=f"set one of them, e.g. {key}.{_NAMES[key][0]}=..." if names else f"set {key}.KEY=...",
        )
    return {str(name): value for name, value in OmegaConf.to_container(node, resolve=True).items()}  # type: ignore[union-attr] # a mapping


_NAMES = {
    "training.dynamic_batch_size": ("enabled", "base", "max", "factor"),
    "logging.health": ("every_n_steps", "gradient_range", "state_range"),
    "logging.pictures": ("train_every_n_steps", "validation"),
}


def plain(config: DictConfig) -> dict[str, Any]:
    """The composed configuration as plain containers, everything derived and resolved."""
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    if not isinstance(container, dict):
        raise TypeError("the composed config is a mapping")
    return {str(key): value for key, value in container.items()}
