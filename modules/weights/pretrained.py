"""Start from weights of a pretrained backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from models.registry import spec_of_section


def start_from_pretrained(network: nn.Module, config: Mapping[str, Any]) -> None:
    """Start from the pretrained weights that the ``model`` section names, if it names any.

    Nothing happens when the run takes its weights from elsewhere (``checkpoint`` or ``weight``).

    Raises:
        UserError: the file is missing or does not fit the network.
    """
    if not config.get("checkpoint") and not config.get("weight"):
        spec_of_section(config["model"]).start_from_pretrained(network, config["model"])
