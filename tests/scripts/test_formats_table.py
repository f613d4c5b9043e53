"""The table of other programs' files, as far as it needs none of them."""

from __future__ import annotations

from scripts.formats_table import __main__ as formats_table
from scripts.formats_table.writers import records


def test_files_of_ours_hold_the_events_of_the_table(tmp_path):
    events = formats_table.make_events()
    assert events.t[-1] - events.t[0] > 1 << 24  # EVT3's clock begins anew
    for path in formats_table.write_ours(tmp_path, events):
        assert formats_table.read_foreign(path, events) == "yes", path.name


def test_verdicts(tmp_path):
    events = formats_table.make_events()
    columns = {name: getattr(events, name) for name in "txyp"}
    assert formats_table.verdict(columns, events) == "yes"
    assert formats_table.verdict(columns | {"t": events.t + 1, "p": 1 - events.p}, events) == "no: other t, p"
    assert formats_table.verdict(events.slice(1, 4), events) == f"no: 3 of {len(events)} events"
    (tmp_path / "a.raw").write_bytes(b"")
    assert formats_table.read_foreign(tmp_path / "a.raw", events) == "no: an empty file"
    named = records(columns, [("ts", "<i8"), ("col", "<u2"), ("row", "<u2"), ("on", "?")])
    assert (named["ts"] == events.t).all()
    assert (named["row"] == events.y).all()
