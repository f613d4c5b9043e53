"""What the configuration must know of a representation: its channels, its usual cutoff, its folder's name.

Plain Python, so that composing a configuration loads nothing heavy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError


@dataclass(frozen=True)
class Kind:
    """A kind of representation.

    Attributes:
        prefix: how folder names begin (RVT).
        channels_per_bin: 2 where polarities have channels of their own, else 1.
        usual_cutoff: ``count_cutoff`` of the published datasets; None: not clipped.
        counts: whole numbers of events, so that fewer events are smaller numbers.
        cutoff_in_name: folder names end with ``_cutoff=N`` where there is a cutoff (RVT).
    """

    prefix: str
    channels_per_bin: int
    usual_cutoff: int | None
    cutoff_in_name: bool
    counts: bool = False


KINDS: dict[str, Kind] = {
    "stacked_histogram": Kind("stacked_histogram", 2, 10, cutoff_in_name=False, counts=True),
    "mixed_density": Kind("mixeddensity_stack", 1, 32, cutoff_in_name=True),
    "voxel_grid": Kind("voxel_grid", 1, None, cutoff_in_name=True),
}


def known_kind(kind: str) -> Kind:
    """The kind of this name.

    Raises:
        UserError: there is none.
    """
    if kind not in KINDS:
        raise UserError(
            expected=f"one of {', '.join(KINDS)}", got=repr(kind), where="dataset.representation.kind", fix="choose one"
        )
    return KINDS[kind]


def folder_name(kind: str, dt_ms: float, bins: int, count_cutoff: int | None) -> str:
    """Folder name of a representation, as RVT and LEOD users have it on disk.

    >>> folder_name("stacked_histogram", 50, 10, 10)
    'stacked_histogram_dt=50_nbins=10'
    >>> folder_name("mixed_density", 50, 10, 32)
    'mixeddensity_stack_dt=50_nbins=10_cutoff=32'
    """
    facts = known_kind(kind)
    suffix = f"_cutoff={count_cutoff}" if facts.cutoff_in_name and count_cutoff is not None else ""
    return f"{facts.prefix}_dt={dt_ms:g}_nbins={bins}{suffix}"


def name_on_disk(folder: Path, name: str) -> str:
    """The name under which a sequence holds a representation.

    Folders of mixed-density stacks that this project wrote earlier lack the ``_cutoff=N`` of the published ones; they
    are found where no folder of the whole name is.

    Args:
        folder: the sequence's folder of representations.
        name: as the configuration says it.
    """
    older = re.sub(r"^(mixeddensity_stack_.*)_cutoff=\d+$", r"\1", name)
    return older if older != name and not (folder / name).exists() and (folder / older).exists() else name
