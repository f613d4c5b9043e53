"""iniVation AEDAT4 files through the ``aedat`` package, packet by packet."""

from __future__ import annotations

from pathlib import Path

from data.events.formats.aedat4_header import check_header
from data.events.formats.columns import ColumnSource
from data.events.problems import bad_value, damaged
from data.events.spill import Spill
from data.events.types import Events


def aedat4_source(path: Path) -> ColumnSource:
    """Events of the first event stream; copied once, packet by packet, to a temporary file.

    Raises:
        UserError: no event stream, or a damaged file.
    """
    import aedat  # only this format needs it

    check_header(path)
    spill = Spill()
    try:
        decoder = aedat.Decoder(str(path))
        streams = decoder.id_to_stream()
        wanted = min((key for key, stream in streams.items() if stream["type"] == "events"), default=None)
        if wanted is None:
            kinds = ", ".join(sorted({str(stream["type"]) for stream in streams.values()})) or "no streams"
            raise bad_value(path, "a stream of events", kinds, "record events, too")
        hw = int(streams[wanted]["height"]), int(streams[wanted]["width"])
        for packet in decoder:
            if packet["stream_id"] == wanted and "events" in packet:
                events = packet["events"]
                spill.append(Events.from_arrays(events["t"], events["x"], events["y"], events["on"]))
    except (RuntimeError, OSError, ValueError) as error:
        raise damaged(path, f"after {spill.num_events} events: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what a failed check in the package's Rust code becomes
            raise
        raise damaged(path, f"after {spill.num_events} events: {error}") from error
    return ColumnSource(path, spill.rows, spill.num_events, hw)
