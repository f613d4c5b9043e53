"""Read the tensors of a ``torch.save`` file that holds other pickled objects, without running anything of it.

A pickle may name any function and have it called; that is why :func:`torch.load` refuses unknown names. Here every
unknown name becomes an empty placeholder that accepts calls, items and states and does nothing with them. The only
functions that can be reached are the two below that wrap bytes of the archive as tensors.
"""

from __future__ import annotations

import pickle  # the class below never imports or calls what a file names
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Placeholder:
    """Stands for an object of a class that is not loaded; takes whatever the pickle does to it.

    ``state`` holds what would have been its attributes.
    """

    state: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __new__(cls, *args: Any, **kwargs: Any) -> Placeholder:
        """Make an empty object, whatever the arguments."""
        return super().__new__(cls)

    def __call__(self, *args: Any, **kwargs: Any) -> Placeholder:
        """Give another placeholder."""
        return Placeholder()

    def __setstate__(self, state: Any) -> None:
        """Keep the state without looking at it."""
        object.__setattr__(self, "state", state)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget the item."""

    def append(self, value: Any) -> None:
        """Forget the value."""

    def extend(self, values: Any) -> None:
        """Forget the values."""

    def add(self, value: Any) -> None:
        """Forget the value."""

    def update(self, values: Any) -> None:
        """Forget the values."""


class _Function:
    """A call that a pickle may make; unlike a plain function it cannot be given attributes."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise pickle.UnpicklingError("the file tries to change a function")

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("the file tries to change a function")


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """Tensor over part of a storage; torch checks that it lies inside."""
    return torch.as_strided(storage, tuple(size), tuple(stride), int(offset))


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _ordered(*items: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(*items)


_ALLOWED = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): _ordered,
}


class _Unpickler(pickle.Unpickler):
    """Unpickler that knows tensors and plain containers; ``unknown`` lists every other name it met."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f"{folder}data.pkl"))
        self._archive = archive
        self._folder = folder
        self._storages: dict[str, Tensor] = {}
        self.unknown: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        """A wrapped function of the list above, the name of a storage type, or a new placeholder class."""
        if (module, name) in _ALLOWED:
            return _Function(_ALLOWED[module, name])
        if module == "torch" and name in _DTYPES:
            return name
        if f"{module}.{name}" not in self.unknown:
            self.unknown.append(f"{module}.{name}")
        return type("Placeholder", (Placeholder,), {})

    def persistent_load(self, pid: Any) -> Tensor:
        """Storage of a tensor, read from the archive once."""
        kind, dtype, key = pid[0], pid[1], str(pid[2])
        if kind != "storage" or not isinstance(dtype, str) or dtype not in _DTYPES:
            raise pickle.UnpicklingError("a tensor of a type that is not read")
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            element = _DTYPES[dtype]
            self._storages[key] = torch.frombuffer(content, dtype=element) if content else torch.empty(0, dtype=element)
        return self._storages[key]


def read_inert(path: Path | str) -> tuple[Any, list[str]]:
    """Content of a file of ``torch.save``, with placeholders for everything but tensors and plain containers.

    Args:
        path: a file in torch's zip format (torch 1.6 and later).

    Returns:
        the content, and the names that became placeholders.

    Raises:
        pickle.UnpicklingError: no such file format, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(pickles) != 1:
                raise pickle.UnpicklingError("not a file of torch.save in the zip format")
            reader = _Unpickler(archive, pickles[0].removesuffix("data.pkl"))
            return reader.load(), reader.unknown
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a broken or hostile pickle fails in any way; nothing of it has run
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error


def tensors_within(content: Any) -> dict[str, Tensor]:
    """Named tensors of a state dict, or of a whole pickled module that became placeholders.

    Args:
        content: as :func:`read_inert` gives it.

    Returns:
        tensors by their name in the state dict, contiguous and independent of each other.
    """
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in _walk(content, "")}


def _walk(node: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Placeholder) and isinstance(node.state, dict):
        for group in ("_parameters", "_buffers", "_modules"):
            members = node.state.get(group)
            for name, member in members.items() if isinstance(members, dict) else ():
                yield from _walk(member, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(node, Tensor):
        yield prefix, node
    elif isinstance(node, dict) and not prefix:
        for name, member in node.items():
            if isinstance(member, Tensor):
                yield str(name), member
