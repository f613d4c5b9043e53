"""iniVation AEDAT4 files through the ``aedat`` package, packet by packet."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.events.formats.aedat4.header import Head, read_head, write_head
from data.events.formats.aedat4.packets import packets
from data.events.formats.columns import ColumnSource
from data.events.problems import bad_value, damaged
from data.events.spill import Spill
from data.events.types import Events

_EVENTS = "EVTS"
DECODED = {_EVENTS, "FRME", "IMUS", "TRIG"}
"""Types of streams that the package knows; it reads nothing of a file that holds others, too."""
_NAMES = {
    _EVENTS: "events",
    "FRME": "frames",
    "IMUS": "motion (IMU)",
    "TRIG": "triggers",
    "BBOX": "bounding boxes",
    "POSE": "poses",
    "TKPS": "key points",
}


def aedat4_source(path: Path) -> ColumnSource:
    """Events of the first event stream; copied once, packet by packet, to a temporary file.

    Raises:
        UserError: no event stream, or a damaged file.
    """
    head = read_head(path)
    wanted = min((number for number, kind in head.streams.items() if kind == _EVENTS), default=None)
    if wanted is None:
        raise bad_value(path, "a stream of events", _listed(head, wanted), "record events, too")
    spill = Spill()
    if DECODED.issuperset(head.streams.values()):
        hw = _decode(path, path, wanted, spill)
    else:
        with only_stream(path, head, wanted) as readable:
            hw = _decode(path, readable, wanted, spill)
    source = ColumnSource(path, spill.rows, spill.num_events, hw)
    if len(head.streams) > 1:
        source.note = f"events are those of stream {wanted}; there are also {_listed(head, wanted)}"
    return source


def _listed(head: Head, wanted: int | None) -> str:
    return ", ".join(_NAMES.get(kind, kind) for number, kind in head.streams.items() if number != wanted)


def _decode(path: Path, readable: Path, wanted: int, spill: Spill) -> tuple[int, int]:
    """Append the events of a stream; sensor height and width. ``path`` is what messages call the file."""
    import aedat  # only this format needs it

    try:
        decoder = aedat.Decoder(str(readable))
        stream = decoder.id_to_stream()[wanted]
        for packet in decoder:
            if packet["stream_id"] == wanted and "events" in packet:
                events = packet["events"]
                spill.append(Events.from_arrays(events["t"], events["x"], events["y"], events["on"]))
        return int(stream["height"]), int(stream["width"])
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise damaged(path, f"after {spill.num_events} events: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what a failed check in the package's Rust code becomes
            raise
        raise damaged(path, f"after {spill.num_events} events: {error}") from error


@contextmanager
def only_stream(path: Path, head: Head, wanted: int) -> Iterator[Path]:
    """A temporary file with the packets of one stream, as they are in the file, under a head that names no other."""
    with tempfile.NamedTemporaryFile(prefix="events-", suffix=".aedat4") as out, path.open("rb") as file:
        out.write(write_head(head, lambda number: number == wanted))
        for number, packet in packets(path, file, head, wanted):
            out.write(struct.pack("<ii", number, len(packet)) + packet)
        out.flush()
        yield Path(out.name)
