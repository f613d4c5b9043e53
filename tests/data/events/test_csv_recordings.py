"""Text recordings: dialects, exact numbers, units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.events.chunked import concatenate
from data.events.open import open_recording
from data.events.types import Events
from tests.helpers.recordings.recording_files import assert_same

EVENTS = Events.from_arrays([1_500_000, 1_500_001, 2_000_000], [3, 29, 0], [4, 0, 19], [1, 0, 1])

DIALECTS = {
    "t,x,y,p with a header": "t,x,y,p\n1500000,3,4,1\n1500001,29,0,0\n2000000,0,19,1\n",
    "without a header": "1500000,3,4,1\n1500001,29,0,0\n2000000,0,19,1\n",
    "x,y,p,t without a header": "3,4,1,1500000\n29,0,0,1500001\n0,19,1,2000000\n",
    "another order": "x;Polarity;y;Timestamp\n3;1;4;1500000\n29;-1;0;1500001\n0;1;19;2000000\n",
    "spaces and seconds": "1.500000 3 4 1\n1.500001 29 0 0\n2.0 0 19 1\n",
    "tabs": "1500000\t3\t4\t1\n1500001\t29\t0\t0\n2000000\t0\t19\t1\n",
    "aligned": "  1500000   3   4  1\n  1500001  29   0  0\n  2000000   0  19  1\n",
    "exponents in seconds": "1.5e+00 3e0 4.0 1.0\n1.500001E0 2.9e1 0.0 0.0\n2.000000000000000000e+00 0 19 1\n",
    "exponents in microseconds": "1.500000000000000000e+06 3 4 1\n1.500001e+06 29 0 0\n2.0e+06 0 19 1\n",
    "nanoseconds by name": "timestamp [ns],x,y,p\n1500000000,3,4,1\n1500001000,29,0,0\n2000000000,0,19,1\n",
    "milliseconds by name": "t_ms,x,y,p\n1500,3,4,1\n1500.001,29,0,0\n2000,0,19,1\n",
    "whole seconds by name": "time(s),x,y,p\n1.5,3,4,1\n1.500001,29,0,0\n2,0,19,1\n",
    "more columns": "id,t,x,y,p,note\n1,1500000,3,4,1,a\n2,1500001,29,0,0,b\n3,2000000,0,19,1,\n".replace(
        ",\n", ",c\n"
    ),
    "comments, blank lines, CRLF": "# own\r\n\r\n1500000,3,4,1\r\n# more\r\n1500001,29,0,0\r\n\r\n2000000,0,19,1\r\n",
    "a header in a comment": "# x y t p\n3 4 1.5 1\n29 0 1.500001 0\n0 19 2.0 1\n",
    "no end of line": "1500000,3,4,1\n1500001,29,0,0\n2000000,0,19,1",
    "byte order mark and quotes": '\ufeff"t","x","y","p"\n1500000,3,4,1\n1500001,29,0,0\n2000000,0,19,1\n',
    "blanks around commas": "1500000, 3 , 4, 1\n1500001, 29, 0, 0\n2000000, 0, 19, 1\n",
    "size before events, as for E2VID": "30 20\n1.5 3 4 1\n1.500001 29 0 0\n2.0 0 19 1\n",
    "size in the header, as in faery": "t,x@30,y@20,on\n1500000,3,4,1\n1500001,29,0,0\n2000000,0,19,1\n",
    "size in a comment": "%geometry:30,20\n3,4,1,1500000\n29,0,0,1500001\n0,19,1,2000000\n",
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(tmp_path, name):
    (tmp_path / "a.txt").write_bytes(DIALECTS[name].encode())
    recording = open_recording(tmp_path / "a.txt")
    assert_same(concatenate(list(recording.chunks())), EVENTS)
    assert (recording.height, recording.width) == (20, 30)
    assert recording.size_known == ("size" in name)
    assert recording.report.sound


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.integers(0, 1 << 58), min_size=1, max_size=20).map(sorted), seconds=st.booleans())
def test_no_digit_of_a_time_is_lost(tmp_path, times, seconds):
    """Also of seconds since 1970, which a float does not hold to the microsecond."""
    times = [t % (1 << 53) for t in times] if seconds else times
    times.sort()
    texts = [f"{t // 10**6}.{t % 10**6:06d}" if seconds else str(t) for t in times]
    (tmp_path / "a.csv").write_text(f"t_{'s' if seconds else 'us'} x y p\n" + "".join(f"{t} 1 2 0\n" for t in texts))
    recording = open_recording(tmp_path / "a.csv", (20, 30))
    assert concatenate(list(recording.chunks())).t.tolist() == times


def test_a_last_line_that_is_cut_is_passed_over_and_reported(tmp_path):
    for tail in ("2000000,0", "2000000,0,", "2000000,0,19,", "2000000,", "-"):
        (tmp_path / "a.csv").write_text(f"1500000,3,4,1\n1500001,29,0,0\n{tail}")
        recording = open_recording(tmp_path / "a.csv", (20, 30))
        assert_same(recording.read(0, 10**7), EVENTS.slice(0, 2))
        assert recording.report.cut_bytes == len(tail)


def test_long_files_in_blocks(tmp_path):
    n = 300_000
    rows = np.stack([np.arange(n) * 10, np.arange(n) % 30, np.arange(n) % 20, np.arange(n) % 2], axis=1)
    np.savetxt(tmp_path / "a.csv", rows, fmt="%d", delimiter=";")
    assert (tmp_path / "a.csv").stat().st_size > 1 << 22
    recording = open_recording(tmp_path / "a.csv")
    assert recording.num_events == n
    assert recording.read(2_000_000, 2_000_010).x.tolist() == [200_000 % 30, 200_001 % 30]
