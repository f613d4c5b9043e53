"""Door to ``data.sampling.random_items`` under the name that published programs use."""

from data.sampling.random_items import RandomItems

__all__ = ["RandomItems"]
