"""Builds the data module and the detector from the composed configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from modules.data.found import check_dataset_folder
from modules.data.kind import check_kind
from modules.tasks import task_of
from modules.weights.pretrained import start_from_pretrained
from utils.settings import plain
from utils.thresholds import with_head_thresholds

log = logging.getLogger(__name__)


def fetch_data_module(config: Mapping[str, Any]) -> Any:
    """Data module of a composed configuration.

    Raises:
        UserError: the dataset folder is missing or is for another task, or a setting is out of its range.
    """
    settings = plain(config)
    check_dataset_folder(settings)
    check_kind(settings["model"], settings["dataset"]["path"])
    return task_of(settings).data(settings)


def fetch_model_module(config: Mapping[str, Any]) -> Any:
    """Detector of a composed configuration, with fresh weights (or pretrained ones, if its model section names any).

    Raises:
        UserError: a setting that the network cannot have.
    """
    settings = with_head_thresholds(plain(config))
    module = task_of(settings).module(settings)
    start_from_pretrained(module.mdl, module.config)
    log.info("%s: %s", settings["model"]["name"], module.mdl.size_in_words())
    return module
