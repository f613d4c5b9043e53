"""Prophesee RAW files: EVT 2.0, EVT 2.1 and EVT 3.0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.events.chunked import CHUNK, ChunkSource
from data.events.formats.evt_header import WORD_BYTES, read_evt_header
from data.events.formats.evt_kernels import (
    FIRST_UNKNOWN,
    MOST_EVENTS,
    UNDATED,
    UNKNOWN,
    WRAPS,
    decode_evt2,
    decode_evt3,
    decode_evt21,
    initial_state,
)
from data.events.problems import bad_value, damaged
from data.events.types import Events

MOST_UNKNOWN = 0.01
"""With more words than this share of a type that the format does not define, the file is refused."""

_DECODERS = {"EVT2": decode_evt2, "EVT2.1": decode_evt21, "EVT3": decode_evt3}


class EvtSource(ChunkSource):
    """Pieces of a RAW file of equally many words, each decoded from the state that the first pass found before it.

    Raises:
        UserError: see ``read_evt_header``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._header = read_evt_header(self.path)
        self.hw, self.likely_hw = self._header.hw, self._header.likely_hw
        self._words = max(1, 2 * CHUNK // MOST_EVENTS[self._header.format])
        self.num_chunks = -(-self._header.num_words // self._words)
        self._states = [initial_state()]
        room = self._words * MOST_EVENTS[self._header.format]
        self._room = (np.empty(room, np.int64), np.empty(room, np.uint16), np.empty(room, np.uint16))
        self._polarities = np.empty(room, np.uint8)

    def chunk(self, index: int) -> Events:
        """Events of one piece."""
        state = self._states[index].copy()
        first = index * self._words
        t, x, y = self._room
        decode = _DECODERS[self._header.format]
        n = decode(self._read(first), first, state, t, x, y, self._polarities)
        if index + 1 == len(self._states):
            self._states.append(state)
        return Events(t=t[:n] + self._header.t0_us, x=x[:n].copy(), y=y[:n].copy(), p=self._polarities[:n].copy())

    def _read(self, first: int) -> npt.NDArray[np.unsignedinteger]:
        bytes_each = WORD_BYTES[self._header.format]
        count = min(self._words, self._header.num_words - first)
        offset = self._header.data_offset + first * bytes_each
        words = np.fromfile(self.path, dtype=f"<u{bytes_each}", count=count, offset=offset)
        if len(words) < count:
            raise damaged(self.path, f"it ended at byte {offset + len(words) * bytes_each} when read again")
        if self._header.swapped:
            words = words.view("<u4").reshape(-1, 2)[:, ::-1].copy().view("<u8").reshape(-1)
        return words

    def place(self, chunk: int, event: int) -> str:
        """The bytes between which the event's word lies."""
        start, step = self._header.data_offset, self._words * WORD_BYTES[self._header.format]
        return f"(number {event} from there) behind byte {start + chunk * step}"

    def findings(self) -> dict[str, int]:
        """What the decoder passed over.

        Raises:
            UserError: too many words are none of this format.
        """
        state = self._states[-1]
        unknown, first = int(state[UNKNOWN]), int(state[FIRST_UNKNOWN])
        offset = -1 if first < 0 else self._header.data_offset + first * WORD_BYTES[self._header.format]
        if unknown > MOST_UNKNOWN * self._header.num_words:
            raise bad_value(
                self.path,
                f"words of {self._header.format}, as the header says",
                f"{unknown} of {self._header.num_words} words of unknown type, the first at byte {offset}",
                "copy the file again, or correct the format in its header",
            )
        return {
            "undated": int(state[UNDATED]),
            "unknown_words": unknown,
            "bad_offset": offset,
            "wraps": int(state[WRAPS]),
            "cut_bytes": self._header.cut_bytes,
        }
