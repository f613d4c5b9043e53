"""Comparing recordings, and the benchmark of decoding."""

from __future__ import annotations

import pytest

from data.events.chunked import ChunkedRecording
from data.events.formats.dat import write_dat
from data.events.formats.evt_write import write_evt
from data.events.types import Events
from scripts.benchmark.data_parts.decoding import WRITERS, rows
from tests.helpers.commands import failure, run
from tests.helpers.recordings.recording_files import random_events

EVENTS = random_events(300)


def shifted(by: int) -> Events:
    return Events(t=EVENTS.t + by, x=EVENTS.x, y=EVENTS.y, p=EVENTS.p)


def test_the_same_in_two_formats_with_another_clock(tmp_path, capsys):
    write_evt(tmp_path / "a.raw", shifted(5000), 20, 30)
    write_dat(tmp_path / "b.dat", EVENTS, 20, 30)
    assert run("scripts/compare_recordings.py", str(tmp_path / "a.raw"), str(tmp_path / "b.dat")) == 0
    out = capsys.readouterr().out
    assert "a.raw: 300 events, 30 x 20, " in out
    assert "x, y, p differ for 0 of 300 events\ntimes differ by -5000 µs\nthe same\n" in out


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (EVENTS.slice(0, 299), "differ for 0 of 299 events"),
        (Events(t=EVENTS.t, x=EVENTS.x, y=EVENTS.y, p=1 - EVENTS.p), "300 of 300 events, the first number 0"),
        (Events(t=EVENTS.t // 2, x=EVENTS.x, y=EVENTS.y, p=EVENTS.p), "times differ by -"),
    ],
    ids=["shorter", "polarity", "times"],
)
def test_differences_are_told(tmp_path, capsys, other, says):
    write_dat(tmp_path / "a.dat", EVENTS, 20, 30)
    write_dat(tmp_path / "b.dat", other, 20, 30)
    assert run("scripts/compare_recordings.py", str(tmp_path / "a.dat"), str(tmp_path / "b.dat")) == 1
    out = capsys.readouterr().out
    assert says in out
    assert out.endswith("not the same\n")


def test_one_recording_and_none(tmp_path, capsys):
    write_dat(tmp_path / "a.dat", EVENTS, 20, 30)
    assert run("scripts/compare_recordings.py", str(tmp_path / "a.dat")) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert "no such file" in failure(capsys, "scripts/compare_recordings.py", str(tmp_path / "none.dat"))


def test_every_format_is_measured(monkeypatch):
    opened = []
    read = ChunkedRecording.read
    monkeypatch.setattr(ChunkedRecording, "read", lambda self, *window: opened.append(self) or read(self, *window))
    table = rows(2000, 1)
    assert len(table) == 2 * len(WRITERS)
    assert {row["name"] for row in table} == {f"{what} {name}" for name in WRITERS for what in ("open", "read")}
    assert all(float(row["value"]) > 0 and row["unit"] == "M events/s" for row in table)
    assert {recording.num_events for recording in opened} == {2000, 200}


def test_a_wrong_number_is_a_message(capsys):
    assert "--events" in failure(capsys, "scripts/benchmark/data.py", "--sections", "decoding", "--events", "0")
