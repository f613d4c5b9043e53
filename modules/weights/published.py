"""Configurations for weight files that hold none, as RVT's and LEOD's: the network from the shapes of its tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from models.registry import spec_of_section
from utils.errors import UserError


def config_for(state: Mapping[str, Tensor], config: Mapping[str, Any] | None, where: Path | str) -> dict[str, Any]:
    """The configuration of a file's network: dataset and everything that shapes do not tell from ``config``.

    Args:
        state: tensors of the file by name.
        config: composed as for ``val.py``, plain containers; a copy is changed.
        where: the file, for messages.

    Raises:
        UserError: there is no configuration, or one that does not tell the network.
    """
    spec = spec_of_section({} if config is None else config["model"])
    if config is None:
        raise UserError(
            expected="a checkpoint that holds its configuration, or overrides that say its dataset",
            got=f"weights only: {spec.weights_in_words(spec.describe_weights(state), channels=True)}",
            where=str(where),
            fix="add the dataset it was trained on, e.g. dataset=gen1 (2 classes) or dataset=gen4 (3 classes)",
        )
    return {**copy.deepcopy(dict(config)), "model": spec.for_weights(config["model"], state, str(where))}
