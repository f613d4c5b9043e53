"""OmegaConf resolvers: what follows from other keys is derived, never typed twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from config.run_names import run_name
from data.representations.names import folder_name, known_kind
from utils.errors import UserError
from utils.padding import padded_size, window_size
from utils.thresholds import Thresholds
from utils.thresholds import per_class as spread

_SIZE_LETTERS = {32: "t", 48: "s", 64: "b"}


def register_resolvers() -> None:
    """Make the ``derive.*`` resolvers known to OmegaConf; safe to call again."""
    for function in (
        frame_hw,
        padded_hw,
        partition_size,
        length,
        indices,
        per_class,
        channels,
        count_cutoff,
        repr_name,
        size_name,
        short_count,
        run_name,
    ):
        OmegaConf.register_new_resolver(f"derive.{function.__name__}", function, replace=True)


def padded_hw(sensor_hw: Sequence[int], half: bool, split: int) -> ListConfig:
    """Padded frame size, see ``utils.padding.padded_size``.

    >>> list(padded_hw([240, 304], False, 1)), list(padded_hw([720, 1280], True, 2))
    ([256, 320], [384, 640])
    """
    return ListConfig(list(padded_size(sensor_size(sensor_hw), half, int(split))))


def frame_hw(sensor_hw: Sequence[int], half: bool) -> ListConfig:
    """Frame size before padding.

    >>> list(frame_hw([720, 1280], True))
    [360, 640]
    """
    return ListConfig([size // 2 if half else size for size in sensor_size(sensor_hw)])


def sensor_size(sensor_hw: Any) -> list[int]:
    """Height and width as ``dataset.sensor_hw`` gives them.

    Raises:
        UserError: anything else.
    """
    sizes = list(sensor_hw) if isinstance(sensor_hw, (ListConfig, list, tuple)) else []
    if len(sizes) != 2 or not all(isinstance(size, int) and size >= 2 for size in sizes):
        raise UserError(
            expected="height and width in pixels",
            got=str(sensor_hw),
            where="dataset.sensor_hw",
            fix="give two whole numbers, e.g. dataset.sensor_hw=[240,304]",
        )
    return sizes


def partition_size(in_res_hw: Sequence[int], split: int) -> ListConfig:
    """Attention window in tokens, see ``utils.padding.window_size``.

    >>> list(partition_size([256, 320], 1)), list(partition_size([384, 640], 2))
    ([8, 10], [6, 10])
    """
    return ListConfig(list(window_size(in_res_hw, int(split))))


def length(items: Sequence[Any]) -> int:
    """Number of items of a list.

    Raises:
        UserError: no list, or an empty one (only ``dataset.classes`` is counted so).
    """
    if not isinstance(items, (ListConfig, list, tuple)) or not len(items):
        raise UserError(
            expected="a list of class names",
            got=str(items),
            where="dataset.classes",
            fix="name each class, in the order of their ids, e.g. dataset.classes=[car,pedestrian]",
        )
    return len(items)


def indices(items: Sequence[Any]) -> ListConfig:
    """Places of a list's items, 0, 1, ...

    >>> list(indices(["car", "pedestrian"]))
    [0, 1]
    """
    return ListConfig(list(range(length(items))))


def per_class(values: Thresholds, index: Sequence[int], classes: Sequence[str] = ()) -> ListConfig:
    """One number per class from ``dataset.pseudo_label.ignore_thresh``; see ``utils.thresholds``.

    >>> list(per_class(0.5, [0, 1])), list(per_class([0.7, 0.35], [1, 1, 0]))
    ([0.5, 0.5], [0.35, 0.35, 0.7])
    """
    plain = OmegaConf.to_container(values) if isinstance(values, (ListConfig, DictConfig)) else values
    where = "dataset.pseudo_label.ignore_thresh"
    return ListConfig(list(spread(plain, list(index), where, list(classes))))  # type: ignore[arg-type] # plain now


def channels(kind: str, bins: int) -> int:
    """Channels of a representation: two polarities times bins for histograms, else bins.

    >>> channels("stacked_histogram", 10), channels("voxel_grid", 10)
    (20, 10)
    """
    return known_kind(kind).channels_per_bin * int(bins)


def count_cutoff(kind: str) -> int | None:
    """Largest count or magnitude of the published datasets, see ``data.representations.names``.

    >>> count_cutoff("stacked_histogram"), count_cutoff("mixed_density")
    (10, 32)
    """
    return known_kind(kind).usual_cutoff


def repr_name(kind: str, dt_ms: float, bins: int, cutoff: int | None = None) -> str:
    """Folder name of a representation in the RVT layout.

    >>> repr_name("stacked_histogram", 50, 10)
    'stacked_histogram_dt=50_nbins=10'
    """
    return folder_name(kind, float(dt_ms), int(bins), cutoff)


def size_name(embed_dim: int) -> str:
    """Letter of the papers' model sizes (t, s, b), or d<embed_dim> for others."""
    return _SIZE_LETTERS.get(int(embed_dim), f"d{embed_dim}")


def short_count(count: Any) -> str:
    """A count in thousands where it is round; what is no count, which others complain of, stays as it is.

    >>> short_count(200000), short_count(1500)
    ('200k', '1500')
    """
    return f"{count // 1000}k" if isinstance(count, int) and count % 1000 == 0 else str(count)
