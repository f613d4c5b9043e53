"""Times far astray, polarity codes, sizes that files state in their own way."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.events import chunked
from data.events.formats.columns import ColumnSource
from data.events.formats.csv_text import write_csv
from data.events.formats.dat import write_dat
from data.events.open import open_recording
from data.events.types import Events
from utils.errors import UserError

HW = (48, 64)
HOUR_US = 3_600_000_000
N = 4000


def columns(**change):
    rng = np.random.default_rng(0)
    values = {
        "t": np.sort(rng.integers(0, 2_000_000, N)).astype(np.int64),
        "x": rng.integers(0, HW[1], N).astype(np.uint16),
        "y": rng.integers(0, HW[0], N).astype(np.uint16),
        "p": rng.integers(0, 2, N).astype(np.uint8),
    }
    return values | change


def write_npz(path, **change):
    np.savez(path, height=HW[0], width=HW[1], **columns(**change))
    return path


def all_times(recording):
    return chunked.concatenate(list(recording.chunks())).t


@pytest.fixture(params=[1 << 18, 100])
def pieces(request, monkeypatch):
    monkeypatch.setattr(chunked, "CHUNK", request.param)
    monkeypatch.setattr("data.events.formats.columns.CHUNK", request.param)
    monkeypatch.setattr("data.events.formats.dat.CHUNK", request.param)


@pytest.mark.parametrize("at", [[0], [1], [99], [100], [2400], [2398, 2399, 2400], [98, 99, 100], [N - 1]])
def test_events_alone_an_hour_ahead_are_left_out(tmp_path, caplog, pieces, at):
    values = columns()
    rest = np.delete(values["t"], at)
    values["t"][at] += HOUR_US
    recording = open_recording(write_npz(tmp_path / "a.npz", t=values["t"]), HW)
    np.testing.assert_array_equal(all_times(recording), rest)
    assert recording.report.astray == len(at)
    assert recording.report.farthest_astray_us == pytest.approx(HOUR_US, abs=100_000)
    assert (recording.t_first_us, recording.t_last_us) == (rest[0], rest[-1])
    assert "alone up to 3600 s ahead of the others around: left out" in caplog.text
    window = recording.read(1_000_000, 2_000_000)
    np.testing.assert_array_equal(window.t, rest[(rest >= 1_000_000) & (rest <= 2_000_000)])


@pytest.mark.parametrize("at", [1, 150, 2400])
def test_the_clock_of_a_dat_file_does_not_run_over_for_one_event(tmp_path, pieces, at):
    values = columns()
    rest = np.delete(values["t"], at)
    values["t"][at] += HOUR_US
    write_dat(tmp_path / "a_td.dat", Events.from_arrays(**values), *HW)
    recording = open_recording(tmp_path / "a_td.dat", HW)
    np.testing.assert_array_equal(all_times(recording), rest)
    assert (recording.report.astray, recording.report.wraps) == (1, 0)


def test_a_first_event_at_zero_does_not_pull_the_start_there(tmp_path, pieces):
    t = columns()["t"] + HOUR_US
    t[0] = 0
    recording = open_recording(write_npz(tmp_path / "a.npz", t=t), HW)
    assert recording.t_first_us == t[1]
    assert recording.report.astray == 1


@pytest.mark.parametrize("gap", [5_000_000, HOUR_US])
def test_a_gap_in_which_nothing_moves_is_no_stray_event(tmp_path, pieces, gap):
    t = columns()["t"]
    t[2000:] += gap
    recording = open_recording(write_npz(tmp_path / "a.npz", t=t), HW)
    assert recording.report.sound
    np.testing.assert_array_equal(all_times(recording), t)


def test_steps_back_that_last_are_raised_as_before(tmp_path, pieces):
    t = columns()["t"]
    t[2000:2400] += 3_000_000
    recording = open_recording(write_npz(tmp_path / "a.npz", t=t), HW)
    assert recording.report.astray == 0
    assert recording.report.times_back > 1000
    np.testing.assert_array_equal(all_times(recording), np.maximum.accumulate(t))


@settings(max_examples=80, deadline=None)
@given(at=st.sets(st.integers(0, 30), max_size=3), size=st.integers(1, 50), ahead=st.integers(2_000_000, 1 << 40))
def test_pieces_of_any_size_leave_out_the_same(tmp_path_factory, at, size, ahead):
    t = np.arange(40) * 1000
    t[sorted(at)] += ahead
    zeros = np.zeros(40, dtype=np.uint16)
    table = {"t": t, "x": zeros, "y": zeros, "p": zeros}

    def rows(start: int, stop: int):
        return {key: values[start:stop] for key, values in table.items()}

    found = []
    for chunk in (size, 1 << 18):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("data.events.formats.columns.CHUNK", max(chunk, 8))
            source = ColumnSource(tmp_path_factory.getbasetemp(), rows, 40, HW)
            found.append(all_times(chunked.ChunkedRecording(source)).tolist())
    assert found[0] == found[1]


CODES = {
    "-1 and 1": lambda p: 2 * p.astype(np.int16) - 1,
    "-1 in an unsigned byte": lambda p: (2 * p.astype(np.int16) - 1).astype(np.uint8),
    "1 and 2": lambda p: p + 1,
    "0 and 255": lambda p: p * 255,
    "truth values": lambda p: p.astype(bool),
    "floats": lambda p: p.astype(np.float32) * 2 - 1,
}


@pytest.mark.parametrize("codes", CODES.values(), ids=list(CODES))
@pytest.mark.parametrize("form", ["npz", "csv", "h5"])
def test_polarity_codes_are_recognised(tmp_path, caplog, pieces, codes, form):
    values = columns()
    written = codes(values["p"])
    path = tmp_path / f"a.{form}"
    if form == "npz":
        write_npz(path, p=written)
    elif form == "csv":
        lines = zip(values["t"], values["x"], values["y"], written, strict=True)
        path.write_text("t,x,y,p\n" + "".join(f"{t},{x},{y},{int(p)}\n" for t, x, y, p in lines))
    else:
        with h5py.File(path, "w") as file:
            for key, column in {**values, "p": written}.items():
                file[f"events/{key}"] = column
    recording = open_recording(path, HW)
    np.testing.assert_array_equal(chunked.concatenate(list(recording.chunks())).p, values["p"])
    assert not caplog.records


def test_codes_that_mean_nothing_known_are_told(tmp_path, caplog):
    values = columns()
    open_recording(write_npz(tmp_path / "a.npz", p=values["p"] + 2 * (np.arange(N) % 2)), HW)
    assert "polarity codes 0, 1, 2, 3: above 0 is taken as ON" in caplog.text


def test_a_code_that_turns_up_late_is_told(tmp_path, caplog, pieces):
    p = columns()["p"]
    p[-1] = 7
    open_recording(write_npz(tmp_path / "a.npz", p=p), HW)
    assert caplog.text.count("polarity codes 0, 1, 7") == 1


@pytest.mark.parametrize("polarity", [0, 1])
def test_a_single_polarity_is_reported(tmp_path, caplog, polarity):
    recording = open_recording(write_npz(tmp_path / "a.npz", p=np.full(N, polarity)), HW)
    assert recording.report.one_sided == N
    assert f"all {N} events have one polarity" in caplog.text


@pytest.mark.parametrize("stated", ["datasets", "attributes", "top"])
def test_a_size_in_the_file_counts_before_the_largest_coordinate(tmp_path, stated):
    values = columns()
    values["y"][7] = 33014
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, column in values.items():
            file[f"events/{key}"] = column
        for name, size in zip(("height", "width"), HW, strict=True):
            if stated == "attributes":
                file["events"].attrs[name] = size
            else:
                file[f"events/{name}" if stated == "datasets" else name] = size
    recording = open_recording(tmp_path / "a.h5")
    assert (recording.height, recording.width) == HW
    assert recording.report.outside == 1
    with pytest.raises(UserError, match=r"sensor_hw=\[48,64\]"):
        open_recording(tmp_path / "a.h5", (720, 1280))


def test_an_array_of_four_columns_in_hdf5(tmp_path):
    values = columns()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = np.stack([values[key] for key in "txyp"], axis=1).astype(np.uint32)
    recording = open_recording(tmp_path / "a.h5", HW)
    events = chunked.concatenate(list(recording.chunks()))
    for key in "txyp":
        np.testing.assert_array_equal(getattr(events, key), values[key])


def test_times_that_a_type_cannot_hold_are_refused(tmp_path):
    seconds = (columns()["t"] / 1e6 + 1_672_932_172).astype(np.float32)
    with pytest.raises(UserError, match="float32"):
        open_recording(write_npz(tmp_path / "a.npz", t=seconds), HW)


def test_csv_writes_what_it_reads(tmp_path):
    write_csv(tmp_path / "a.csv", Events.from_arrays(**columns()), *HW)
    assert open_recording(tmp_path / "a.csv", HW).report.sound
