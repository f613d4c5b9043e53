"""Recordings in HDF5 files: Prophesee's ``CD/events`` and DSEC's ``events/{x,y,p,t}``.

Blosc, LZ4, Zstandard and the filters of HDF5 itself are read through ``hdf5plugin``. Prophesee's own ECF filter is not
part of it: such files need the plugin of the Metavision SDK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import numpy as np
import numpy.typing as npt

from data.events.formats.columns import ColumnSource, one_length, require_columns, require_numbers
from data.events.problems import bad_value, damaged
from data.events.types import Events
from utils.atomic import atomic_path
from utils.errors import UserError

ECF_FILTER = 36559
_EXPECTED = "CD/events (Prophesee), events/x, y, p, t (DSEC) or events [N, 4] (v2e)"


def hdf5_source(path: Path) -> ColumnSource:
    """Events of either layout.

    * Prophesee: dataset ``CD/events`` with fields x, y, p, t; sensor size from the attribute ``geometry``;
    * DSEC: group ``events`` with x, y, p, t, to which the optional ``t_offset`` is added; ``ms_to_idx`` is not needed.
      Sensor size from ``height`` and ``width`` of the file or the group, attributes or datasets (RVT, eTraM), if any;
    * v2e: dataset ``events`` [N, 4] of numbers in the order t, x, y, p.

    Raises:
        UserError: another layout, a filter that is not here, or a damaged file.
    """
    try:
        file = h5py.File(path, "r", locking=False)  # some network file systems know no locks
        node = _find(path, file)
        datasets = _datasets(path, node)
        for dataset in datasets.values():
            _check_filters(path, dataset)
        hw = _size(path, file, node)
        offset = _time_offset(path, file)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise damaged(path, str(error)) from error
    if isinstance(node, h5py.Dataset) and node.dtype.names is None:
        columns: dict[str, Any] = dict(zip("txyp", range(4), strict=True))
        require_numbers(path, {"events": node.dtype})
    elif isinstance(node, h5py.Dataset):
        columns = require_columns(path, node.dtype.names or ())
        require_numbers(path, {name: node.dtype[name] for name in columns.values()})
    else:
        columns = {}
        require_numbers(path, {key: dataset.dtype for key, dataset in datasets.items()})
    length = one_length(path, {key: len(dataset) for key, dataset in datasets.items()})

    def rows(start: int, stop: int) -> Mapping[str, npt.NDArray[Any]]:
        try:
            if not columns:
                return {key: dataset[start:stop] for key, dataset in datasets.items()}
            block = datasets["t"][start:stop]
            if block.ndim == 2:
                return {column: block[:, place] for column, place in columns.items()}
            return {column: block[name] for column, name in columns.items()}
        except (OSError, RuntimeError) as error:
            raise damaged(path, f"events {start} to {stop}: {error}") from error

    return ColumnSource(path, rows, length, hw, t_offset_us=offset)


def _find(path: Path, file: h5py.File) -> h5py.Dataset | h5py.Group:
    for name in ("CD/events", "events"):
        node = file.get(name)
        if isinstance(node, h5py.Group) or (isinstance(node, h5py.Dataset) and (node.dtype.names or _plain(node))):
            return node
    found = ", ".join(sorted(file)[:8]) or "nothing"
    raise bad_value(path, _EXPECTED, found, "convert the events to one of these layouts")


def _plain(node: h5py.Dataset) -> bool:
    """An array [N, 4] of numbers."""
    return node.ndim == 2 and node.shape[1] == 4 and node.dtype.kind in "iuf"


def _datasets(path: Path, node: h5py.Dataset | h5py.Group) -> dict[str, h5py.Dataset]:
    """Column to dataset; for a dataset with fields itself."""
    if isinstance(node, h5py.Dataset) and _plain(node):
        return {"t": node}
    if isinstance(node, h5py.Dataset):
        found = {"t": node}
    else:
        arrays = {name: item for name, item in node.items() if isinstance(item, h5py.Dataset)}
        found = {column: arrays[name] for column, name in require_columns(path, arrays).items()}
    for column, dataset in found.items():
        if dataset.ndim != 1:
            got = f"{dataset.name} {list(dataset.shape)} for {column}"
            raise bad_value(path, "arrays of one dimension", got, "write one value an event")
    return found


def _check_filters(path: Path, dataset: h5py.Dataset) -> None:
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(index)
        if h5py.h5z.filter_avail(code):
            continue
        label = name.decode("ascii", "replace") or "unnamed"
        ecf = code == ECF_FILTER
        raise UserError(
            expected=f"{dataset.name} compressed with gzip, lzf, Blosc, LZ4 or Zstandard, or not at all",
            got=f"Prophesee's ECF filter ({code})" if ecf else f"HDF5 filter {code} ({label})",
            where=str(path),
            fix="use the .raw file it was made from, or rewrite it with the camera's software without ECF; or install "
            "Prophesee's ECF plugin and set HDF5_PLUGIN_PATH to its folder"
            if ecf
            else "install that filter and set HDF5_PLUGIN_PATH to its folder, or rewrite the file with h5repack",
        )


def _size(path: Path, file: h5py.File, node: h5py.Dataset | h5py.Group) -> tuple[int, int] | None:
    for holder in (file, node.parent, node):
        if "geometry" in holder.attrs:
            text = holder.attrs["geometry"]
            text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
            match = re.fullmatch(r"\s*([1-9][0-9]{0,4})\s*[xX]\s*([1-9][0-9]{0,4})\s*", text)
            if match is None:
                raise bad_value(path, "the attribute geometry as WIDTHxHEIGHT", repr(text[:40]), "correct it")
            return int(match[2]), int(match[1])
        if "height" in holder.attrs and "width" in holder.attrs:
            return _positive(path, holder.attrs["height"]), _positive(path, holder.attrs["width"])
        stored = [holder.get(name) for name in ("height", "width")] if isinstance(holder, h5py.Group) else []
        sizes = [item[()] for item in stored if isinstance(item, h5py.Dataset)]
        if len(sizes) == 2:
            return _positive(path, sizes[0]), _positive(path, sizes[1])
    return None


def _positive(path: Path, value: Any) -> int:
    number = np.asarray(value)
    if number.dtype.kind not in "iu" or number.size != 1 or not 0 < int(number.reshape(-1)[0]) <= 1 << 16:
        raise bad_value(path, "height and width, whole numbers from 1 to 65536", repr(value)[:40], "correct them")
    return int(number.reshape(-1)[0])


def _time_offset(path: Path, file: h5py.File) -> int:
    node = file.get("t_offset")
    if not isinstance(node, h5py.Dataset):
        return 0
    if node.dtype.kind not in "iu" or node.size != 1:
        raise bad_value(path, "one whole number as t_offset", f"{node.dtype} {list(node.shape)}", "correct it")
    return int(np.asarray(node[()]).reshape(-1)[0])


def write_hdf5(
    path: Path | str, events: Events, height: int, width: int, layout: str = "prophesee", **compression: Any
) -> None:
    """Write events in time order; the file appears whole.

    Args:
        path: usually ``<name>.h5``.
        events: for DSEC from time 0 on, less than 71 minutes behind the first.
        height, width: sensor size, kept as attributes.
        layout: ``prophesee`` or ``dsec``.
        compression: for ``h5py.Group.create_dataset``, for example ``compression="gzip"``.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        if layout == "prophesee":
            file.attrs["geometry"] = f"{width}x{height}"
            rows = np.zeros(len(events), dtype=[("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
            for name in ("x", "y", "p", "t"):
                rows[name] = getattr(events, name)
            file.create_dataset("CD/events", data=rows, **compression)
            return
        file.attrs["height"], file.attrs["width"] = height, width
        t_offset = int(events.t[0]) if len(events) else 0
        t = (events.t - t_offset).astype(np.uint32)
        for name, values in (("x", events.x), ("y", events.y), ("p", events.p), ("t", t)):
            file.create_dataset(f"events/{name}", data=values, **compression)
        file["t_offset"] = np.int64(t_offset)
        milliseconds = np.arange(int(t[-1]) // 1000 + 1 if len(t) else 0) * 1000
        file["ms_to_idx"] = np.searchsorted(t, milliseconds, side="left").astype(np.uint64)
