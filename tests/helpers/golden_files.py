"""Reads the reference numbers of tests/golden, which are stored small and bit for bit.

A file ``NAME.xz`` is one line of JSON (names and lengths) and then LZMA streams. Numbers of k bytes are stored as k
planes: all first bytes, all second bytes, and so on, of all arrays stored alike. How an array is stored:

* ``gaps``: event frames (one byte, nearly all zero) as distances between the other entries, channels last, and values;
* ``grid``: float32 that are multiples of 1/1024 as sign and magnitude; ``half``: float32 with 16 zero bits at the end
  (bfloat16) as 16 bits; ``float``: any other float32; all with the sign bit last, so that the exponent is one byte;
* ``raw``: everything else.

``tests/helpers/pack_golden.py`` writes such files.
"""

from __future__ import annotations

import functools
import json
import lzma
import tempfile
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

Array = npt.NDArray[Any]
_GRID = 1024.0
_SPARSE = 0.05  # one-byte arrays with a smaller share of entries that are not zero are stored by distances
_ESCAPE = 255
_PRESET = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26, "lp": 0, "pb": 0}
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def load_golden(name: str, start: str = "") -> dict[str, Array]:
    """The arrays of ``golden/NAME.xz`` whose keys begin with ``start``; every call gives new arrays."""
    streams = _streams(name)
    unpacker, found = _Unpacker(streams), {}
    for key, kind, descr, shape in json.loads(streams["index"]):
        if key.startswith(start):
            found[key] = unpacker.array(kind, descr, tuple(shape))
        else:
            unpacker.skip(kind, descr, tuple(shape))
    return found


def golden_keys(name: str) -> list[str]:
    """Keys of the arrays of ``golden/NAME.xz``."""
    return [key for key, *_ in json.loads(_streams(name)["index"])]


@functools.lru_cache(maxsize=4)
def _streams(name: str) -> dict[str, bytes]:
    line, _, rest = (GOLDEN / f"{name}.xz").read_bytes().partition(b"\n")
    streams: dict[str, bytes] = {}
    for key, length in json.loads(line):
        streams[key], rest = lzma.decompress(rest[:length]), rest[length:]
    return streams


@functools.cache
def golden_dataset() -> Path:
    """The golden dataset (gen1) in the layout on disk, written once a process into a temporary folder."""
    folder = tempfile.TemporaryDirectory(prefix="golden-")
    _KEPT.append(folder)  # removed when the process ends
    root = Path(folder.name)
    archives: dict[Path, dict[str, Array]] = {}
    for key, array in load_golden("dataset_gen1").items():
        name, _, member = key.partition("::")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".h5":
            with h5py.File(path, "w") as file:
                file.create_dataset(member, data=array, chunks=(1, *array.shape[1:]), **hdf5plugin.Blosc(cname="zstd"))
        elif path.suffix == ".npz":
            archives.setdefault(path, {})[member] = array
        else:
            np.save(path, array)
    for path, members in archives.items():
        np.savez(path, **members)  # type: ignore[arg-type] # numpy's stubs take the members for allow_pickle
    return root


def pack(arrays: dict[str, Array]) -> bytes:
    """The content of a file that ``load_golden`` reads."""
    rows: dict[str, list[Array]] = {}
    gaps, values, listed = [], [], []
    for key, array in arrays.items():
        kind, numbers = _encode(array)
        listed.append([key, kind, np.lib.format.dtype_to_descr(array.dtype), list(array.shape)])
        if kind == "gaps":
            places = np.flatnonzero(numbers)
            gaps.append(np.diff(places, prepend=-1, append=numbers.size))  # the last one leads to the end
            values.append(numbers[places])
        else:
            size = numbers.dtype.itemsize
            rows.setdefault(f"{kind}{size}", []).append(np.frombuffer(numbers.tobytes(), np.uint8).reshape(-1, size))
    streams = {kind: np.concatenate(parts).T.tobytes() for kind, parts in rows.items()}
    if gaps:
        distance = np.concatenate(gaps)
        streams["gaps"] = np.minimum(distance, _ESCAPE).astype(np.uint8).tobytes()
        long = distance[distance >= _ESCAPE].astype("<u4")
        streams["long"] = long.view(np.uint8).reshape(-1, 4).T.tobytes()
        streams["values"] = np.concatenate(values).tobytes()
    streams["index"] = json.dumps(listed, separators=(",", ":")).encode()
    packed = {key: _smallest(data) for key, data in streams.items()}
    return json.dumps([[key, len(data)] for key, data in packed.items()]).encode() + b"\n" + b"".join(packed.values())


def _smallest(data: bytes) -> bytes:
    tries = [lzma.compress(data, format=lzma.FORMAT_XZ, filters=[_PRESET | {"lc": lc}]) for lc in (0, 3)]
    return min(tries, key=len)


def _encode(array: Array) -> tuple[str, Array]:
    """How an array is stored, and the numbers that are."""
    if array.dtype.itemsize == 1 and array.size > 10_000 and np.count_nonzero(array) < _SPARSE * array.size:
        last = np.moveaxis(array, -3, -1) if array.ndim >= 3 else array
        return "gaps", np.ascontiguousarray(last).reshape(-1).view(np.uint8)
    if array.dtype != np.float32:
        return "raw", np.ascontiguousarray(array)
    flat = np.ascontiguousarray(array).reshape(-1)
    steps = np.abs(flat.astype(np.float64)) * _GRID
    if np.all(steps == np.round(steps)) and np.all(steps < 2**15):
        return "grid", (steps.astype(np.uint16) << 1) | np.signbit(flat).astype(np.uint16)
    bits = flat.view(np.uint32)
    if not np.any(bits & 0xFFFF):
        half = (bits >> 16).astype(np.uint16)
        return "half", (half << 1) | (half >> 15)
    return "float", (bits << 1) | (bits >> 31)


class _Unpacker:
    """Hands out what ``pack`` put into the streams, in the same order."""

    def __init__(self, streams: dict[str, bytes]) -> None:
        self.streams = {key: np.frombuffer(data, np.uint8) for key, data in streams.items()}
        self.used = dict.fromkeys(self.streams, 0)
        self.ends = np.zeros(0, np.int64)
        if "gaps" in self.streams:
            distances = self.streams["gaps"].astype(np.int64)
            long = self.streams["long"].reshape(4, -1).T.copy().view("<u4").reshape(-1)
            distances[distances == _ESCAPE] = long
            self.ends = np.cumsum(distances)

    def array(self, kind: str, descr: Any, shape: tuple[int, ...]) -> Array:
        """The next array stored in this way."""
        dtype = np.lib.format.descr_to_dtype(_tuples(descr))
        if kind == "gaps":
            return self._frames(shape).view(dtype)
        if kind == "raw":
            return self._numbers(kind, dtype, shape)
        if kind == "float":
            numbers = self._numbers(kind, np.dtype(np.uint32), shape)
            return ((numbers >> 1) | (numbers << 31)).view(np.float32)
        numbers = self._numbers(kind, np.dtype(np.uint16), shape)
        if kind == "half":
            return (((numbers >> 1) | (numbers << 15)).astype(np.uint32) << 16).view(np.float32)
        return np.copysign((numbers >> 1) / _GRID, np.where(numbers & 1, -1.0, 1.0)).astype(np.float32)

    def skip(self, kind: str, descr: Any, shape: tuple[int, ...]) -> None:
        """Leave the next array stored in this way out."""
        if kind == "gaps":
            self._places(int(np.prod(shape)))
            return
        sizes = {"raw": np.lib.format.descr_to_dtype(_tuples(descr)).itemsize, "float": 4}
        self.used[f"{kind}{sizes.get(kind, 2)}"] += int(np.prod(shape))

    def _numbers(self, kind: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        size, count = dtype.itemsize, int(np.prod(shape))
        stream = f"{kind}{size}"
        first = self.used[stream]
        self.used[stream] += count
        rows = self.streams[stream].reshape(size, -1)[:, first : first + count]
        return np.frombuffer(bytearray(rows.T.tobytes()), dtype).reshape(shape)

    def _frames(self, shape: tuple[int, ...]) -> Array:
        flat = np.zeros(int(np.prod(shape)), np.uint8)
        places, values = self._places(flat.size)
        flat[places] = values
        if len(shape) < 3:
            return flat.reshape(shape)
        return np.ascontiguousarray(np.moveaxis(flat.reshape(*shape[:-3], *shape[-2:], shape[-3]), -1, -3))

    def _places(self, total: int) -> tuple[Array, Array]:
        """Places and values of the entries of the next frames that are not zero."""
        first = self.used["gaps"]
        begin = self.ends[first - 1] if first else 0
        places = self.ends[first : int(np.searchsorted(self.ends, begin + total + 1))] - begin - 1
        values = self.streams["values"][self.used["values"] :][: len(places)]
        self.used["gaps"] += len(places) + 1
        self.used["values"] += len(places)
        return places, values


def _tuples(descr: Any) -> Any:
    """JSON's lists back to the tuples of NumPy's description of a dtype."""
    if not isinstance(descr, list):
        return descr
    return [
        (part[0], part[1] if isinstance(part[1], str) else _tuples(part[1]), *map(tuple, part[2:])) for part in descr
    ]
