"""Class ids of box files, and what they become in the dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.errors import UserError

ClassIds = dict[int, int]
"""Id in the dataset by id in the files; ids that are not there are dropped."""

_KEY = "dataset.preprocessing.class_ids"


def class_ids(value: Any, num_classes: int | None = None) -> ClassIds | None:
    """The mapping that a config gives.

    Args:
        value: a list whose i-th entry is what id i of the files becomes, or a mapping; null in either drops an id.
            None: ids stay what they are.
        num_classes: classes that the dataset has.

    Raises:
        UserError: neither, or an id that is none.

    >>> class_ids([None, 0, 1]) == class_ids({1: 0, 2: 1}) == {1: 0, 2: 1}
    True
    """
    if value is None:
        return None
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        raise _no_mapping(repr(value))
    wanted = {source: target for source, target in value.items() if target is not None}
    for source, target in wanted.items():
        if not _is_id(source) or not _is_id(target) or (num_classes is not None and target >= num_classes):
            raise _no_mapping(f"{source}: {target}", num_classes)
    return dict(sorted(wanted.items()))


def map_classes(boxes: npt.NDArray[Any], mapping: ClassIds) -> npt.NDArray[Any]:
    """Boxes (structured, with ``class_id``) of the ids that are mapped, with their new ids; a copy, the order kept."""
    kept = boxes[np.isin(boxes["class_id"], list(mapping))]
    sources, where = np.unique(kept["class_id"], return_inverse=True)
    kept["class_id"] = np.asarray([mapping[source] for source in sources.tolist()], dtype=np.uint32)[where]
    return kept


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _no_mapping(got: str, num_classes: int | None = None) -> UserError:
    last = f" up to {num_classes - 1}" if num_classes else ""
    return UserError(
        expected=f"a list whose i-th entry is what class id i becomes, or {{id in the files: id in classes}}; "
        f"ids are whole numbers from 0{last}, null drops one",
        got=got,
        where=_KEY,
        fix="correct the ids, or set it to null to keep those of the files",
    )
