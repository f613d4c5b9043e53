"""The events of a window in the forms that programs have them: arrays, structured arrays, tables by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.formats.columns import find_columns
from data.events.types import Events
from utils.errors import UserError

FORMS = "four arrays (x, y, t, p), fields named x, y, t and p, or Events"
_ORDER = ("x", "y", "t", "p")
_WHERE = "what was given to the detector"


def events_of(given: object) -> Events | None:
    """Events of arrays in the order x, y, t, p, or of what has such fields; None for what is no form of events.

    Args:
        given: ``Events``, a tuple or list of four arrays, a structured array, or names with arrays: a dict, an opened
            ``.npz``, a data frame. Fields may have the names that recordings use (``data.events.formats.columns``).

    Raises:
        UserError: a field is missing, is no whole number where it must be, or has another length.
    """
    if isinstance(given, Events):
        return given
    if isinstance(given, (tuple, list)):
        if len(given) != len(_ORDER):
            raise _misfit(FORMS, f"{len(given)} of them", "give x, y, t and p, in this order")
        return _checked(dict(zip(_ORDER, given, strict=True)))
    table: Any = given
    names = list(getattr(getattr(given, "dtype", None), "names", None) or ())
    if not names and not hasattr(given, "keys"):
        return None
    names = names or [str(name) for name in table.keys()]  # noqa: SIM118 - a data frame has columns as keys
    found = find_columns(names)
    missing = [name for name in _ORDER if name not in found]
    if missing:
        listed = ", ".join(names) or "no fields"
        raise _misfit("fields x, y, t and p", f"{listed}: {', '.join(missing)} missing", "give the fields these names")
    return _checked({name: table[found[name]] for name in _ORDER})


def _checked(given: Mapping[str, npt.ArrayLike]) -> Events:
    columns = {name: np.asarray(values) for name, values in given.items()}
    shapes = {name: list(values.shape) for name, values in columns.items()}
    if len({tuple(shape) for shape in shapes.values()}) > 1 or len(shapes["t"]) != 1:
        raise _misfit(
            "one-dimensional arrays of one length",
            ", ".join(f"{name} {shapes[name]}" for name in _ORDER),
            "give the same",
        )
    for name in ("x", "y"):
        _check_range(name, columns[name], 0, np.iinfo(np.uint16).max, "columns and rows, whole numbers from 0 on")
    if columns["t"].dtype.kind not in "iuf":
        raise _misfit("times in whole microseconds", f"t of type {columns['t'].dtype}", "give numbers")
    _check_range("p", columns["p"], -1, 1, "polarity 1 (brighter), 0 or -1 (darker)")
    return Events.from_arrays(columns["t"], columns["x"], columns["y"], columns["p"])


def _check_range(name: str, values: npt.NDArray[Any], low: int, high: int, expected: str) -> None:
    if values.dtype.kind not in "iufb":
        raise _misfit(expected, f"{name} of type {values.dtype}", "give numbers")
    if not len(values):
        return
    whole = values.dtype.kind != "f" or not (values % 1).any()
    if not whole or not (values.min() >= low and values.max() <= high):
        fix = "the order is x, y, t, p; give them as a dict where that is easier"
        raise _misfit(expected, f"{name} from {values.min():g} to {values.max():g}", fix)


def _misfit(expected: str, got: str, fix: str) -> UserError:
    return UserError(expected=expected, got=got, where=_WHERE, fix=fix)
