"""Grey pictures that an AEDAT4 file holds beside its events, as DAVIS cameras take them (streams of type FRME)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.formats.aedat4.header import MAGIC, read_head
from data.events.formats.aedat4.source import DECODED, only_stream
from data.events.problems import damaged
from utils.errors import UserError

_FRAMES = "FRME"
Picture = npt.NDArray[np.uint8]


class GreyFrames:
    """The pictures of the first stream of them, read one after another as time goes on.

    Args:
        path: of the file.

    Raises:
        UserError: a file of another format, or without pictures.
    """

    def __init__(self, path: Path) -> None:
        head = read_head(path) if _is_aedat4(path) else None
        streams = {number: kind for number, kind in head.streams.items() if kind == _FRAMES} if head else {}
        if head is None or not streams:
            raise UserError(
                expected="an .aedat4 file with a stream of frames, as DAVIS cameras record",
                got="no frames",
                where=str(path),
                fix="leave --frames out",
            )
        self._path = path
        self._kept = ExitStack()
        readable = path
        if not DECODED.issuperset(head.streams.values()):
            readable = self._kept.enter_context(only_stream(path, head, min(streams)))
        self._frames = self._read(readable, min(streams))
        self._next = next(self._frames, None)
        self._newest: Picture | None = None

    def at(self, end_us: int) -> Picture | None:
        """The newest picture at this time, uint8 [h, w]; None before the first. Times must not step backwards."""
        while self._next is not None and self._next[0] <= end_us:
            self._newest = self._next[1]
            self._next = next(self._frames, None)
        return self._newest

    def _read(self, readable: Path, wanted: int) -> Iterator[tuple[int, Picture]]:
        """Time and picture, one by one; the temporary copy of the file lives as long."""
        import aedat  # only this format needs it

        number = 0
        with self._kept:
            try:
                for packet in aedat.Decoder(str(readable)):
                    if packet["stream_id"] == wanted and "frame" in packet and packet["frame"]["pixels"].size:
                        number += 1
                        yield int(packet["frame"]["t"]), _grey(packet["frame"]["pixels"])
            except (RuntimeError, OSError, ValueError, KeyError) as error:
                raise damaged(self._path, f"after {number} frames: {error}") from error


def _is_aedat4(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(len(MAGIC)) == MAGIC


def _grey(pixels: npt.NDArray[Any]) -> Picture:
    """Mean of the colours, if there are any, of numbers of 8 or 16 bits."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return pixels if pixels.ndim == 2 else pixels[..., :3].mean(axis=-1).astype(np.uint8)
