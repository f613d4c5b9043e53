"""What several tests of sampling share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.sampled_dataset import make_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small sequences of different lengths, the same in every split."""
    return make_dataset(
        tmp_path_factory.mktemp("dataset"),
        a=(30, list(range(2, 30, 3))),
        b=(18, [3, 5, 17]),
        c=(9, [1, 8]),
        d=(5, [4]),
    )
