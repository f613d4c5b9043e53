"""A configuration from overrides, outside Hydra's own entry point or for another command than the running one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from config.resolvers import register_resolvers
from utils.commands.config_errors import CONFIG_DIR, explain
from utils.commands.path_overrides import quote_paths


def compose(overrides: Sequence[str], name: str = "train") -> dict[str, Any]:
    """What a command with these overrides would be configured with, as plain containers.

    Args:
        overrides: as on the command line, e.g. ``dataset=gen1 +experiment/gen1=small``.
        name: of the primary config.

    Raises:
        UserError: they do not compose.
    """
    register_resolvers()
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            composed = OmegaConf.to_container(hydra.compose(name, overrides=quote_paths(overrides)), resolve=True)
    except Exception as error:  # whatever a resolver raises reaches us through Hydra
        raise explain(error, name) from error
    finally:
        GlobalHydra.instance().hydra = running
    assert isinstance(composed, dict), "the primary configs are mappings"
    return {str(key): value for key, value in composed.items()}
