"""What a representation owns: its store on disk, the parts read from it, and the inputs of a batch.

A part is what was read of one sequence: windows [start, stop), in time order. Frames are one payload
(``data.payloads.frames``), raw events another (``data.payloads.events``). Sampling, labels and plans know none of this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from data.augmentation.intensity import IntensityState
from data.augmentation.state import AugmentationState

Part = TypeVar("Part")
Read = TypeVar("Read", covariant=True)
Written = TypeVar("Written", contravariant=True)


class Reader(Protocol[Read]):
    """A sequence's store for reading; cheap to make, to keep and to send to another process."""

    def __len__(self) -> int:
        """Number of windows."""
        ...

    def read(self, start: int, stop: int) -> Read:
        """Windows ``start`` to ``stop`` (exclusive).

        Raises:
            UnreadableFrames: the store is missing or damaged.
            UserError: the range leaves it.
        """
        ...


class Writer(Protocol[Written]):
    """A sequence's store while it is written."""

    def __len__(self) -> int:
        """Number of windows so far."""
        ...

    def append(self, part: Written) -> None:
        """Add windows behind those that are there."""
        ...


class Inputs(Protocol):
    """What a batch holds for the network: L windows of B lanes."""

    @property
    def data(self) -> Any:
        """What the network takes: tensors only."""
        ...

    @property
    def lanes(self) -> int:
        """Number of lanes B."""
        ...

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def picture(self, t: int, lane: int) -> npt.NDArray[Any]:
        """What is drawn of a window, [C, H, W]."""
        ...

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same on a device."""
        ...

    def pin_memory(self) -> Self:
        """The same in pinned memory (called by the DataLoader)."""
        ...

    def mirrored(self) -> Self:
        """The same lanes mirrored left to right: x becomes W - 1 - x."""
        ...

    def beside(self, other: Self) -> Self:
        """These lanes and then the other's."""
        ...


class Payload(ABC, Generic[Part]):
    """Everything that depends on what a sequence's input is made of; has no state of its own.

    Attributes:
        file: which of a sequence's files (``data.sequences.layout.SequencePaths``) is its store.
    """

    file: ClassVar[str]

    @abstractmethod
    def open(self, path: Path) -> Reader[Part]:
        """Store of a sequence; its file is opened on first use."""

    @abstractmethod
    def empty(self, reader: Any) -> Part:
        """Part of no windows, else like those of a store."""

    @abstractmethod
    def size_hw(self, part: Part) -> tuple[int, int]:
        """Height and width in pixels."""

    def window_bytes(self, reader: Any) -> int:
        """Size of a window in a batch, at most."""
        data = self.stacked([None], 1, self.empty(reader)).data
        return sum(tensor.nbytes for tensor in (data if isinstance(data, tuple | list) else [data]))

    @abstractmethod
    def room(self, length: int, lanes: int, like: Part) -> Inputs | None:
        """Memory of a batch of L windows in B lanes, of the size and type of ``like``; its contents are undefined.

        None where no more is known before the windows are read.
        """

    @abstractmethod
    def place(self, room: Any, lane: int) -> Part:
        """Where the L windows of a lane go."""

    @abstractmethod
    def read(
        self, reader: Any, start: int, stop: int, reverse: bool, state: AugmentationState, out: Part | None = None
    ) -> Part:
        """Windows ``start`` to ``stop`` (exclusive) of a store, moved.

        Args:
            reader: the store.
            start: first window.
            stop: the one after the last.
            reverse: as it would look with time running backwards.
            state: moves pixels as ``data.augmentation.state.apply_to_labels`` moves boxes.
            out: the part may lie here, where it fits.
        """

    @abstractmethod
    def mixed(self, part: Part, other: Part, position: int, max_count: int | None) -> Part:
        """Another part of at most the same length laid over, its first window over the one at ``position``."""

    @abstractmethod
    def jittered(self, part: Part, state: IntensityState, rng: np.random.Generator, max_count: int | None) -> Part:
        """More and fewer events, as ``state`` says; ``rng`` decides over single ones."""

    @abstractmethod
    def stacked(self, parts: Sequence[Part | None], length: int, like: Part | None, room: Any = None) -> Inputs:
        """Inputs of a batch from its lanes.

        Args:
            parts: of each lane, at most ``length`` windows; None and what is missing becomes empty.
            length: windows L.
            like: gives size and type where all parts are None; without it inputs are of no size.
            room: memory for them, in which parts may lie in place already; by default it is taken here.
        """
