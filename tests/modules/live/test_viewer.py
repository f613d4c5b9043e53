"""What the Rerun viewer is given, by a stand-in for its package, which the tests do without."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import cv2
import numpy as np
import pytest

from data.events.bbox import write_bbox_npy
from data.events.formats.dat import write_dat
from data.events.types import Events
from modules.live import rerun_package, viewer
from modules.live.rerun_package import open_window
from modules.live.result import Found
from modules.live.viewer import RerunViewer
from tests.helpers.commands import REPOSITORY, failure, run
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.pictures.drawing import DARK


class Stream:
    """Keeps what is logged: time in µs, entity, and the arguments of its parts."""

    def __init__(self, application: str) -> None:
        self.rows: list[tuple[int, str, dict[str, Any]]] = []
        self.closed: list[str] = []
        self.broken = False

    def save(self, path: Path, layout: object) -> None:
        path.write_text(str(layout))

    def set_time(self, timeline: str, duration: np.timedelta64) -> None:
        self.now = int(duration / np.timedelta64(1, "us"))

    def log(self, entity: str, *parts: dict[str, Any]) -> None:
        self.rows.append((self.now, entity, {key: value for part in parts for key, value in part.items()}))

    def flush(self, timeout_sec: float = 0) -> None:
        if self.broken:
            raise RuntimeError("no room")

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.closed.append(name)


class Rerun(SimpleNamespace):
    """The module; its parts are the arguments that they are made of."""

    def __init__(self) -> None:
        super().__init__(streams=[])
        self.blueprint = self

    def RecordingStream(self, application: str) -> Stream:
        self.streams.append(Stream(application))
        return self.streams[-1]

    def Scalars(self, value: float) -> dict[str, float]:
        return {"value": value}

    def __getattr__(self, name: str) -> Any:
        if not name[0].isupper():
            raise AttributeError(name)
        return lambda *args, **arguments: arguments


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rerun]:
    library = Rerun()
    monkeypatch.setitem(sys.modules, "rerun", library)  # type: ignore[arg-type]
    yield library
    assert all("disconnect" in stream.closed for stream in library.streams)


def found(rows: list[list[float]], time_us: int | None = None) -> Found:
    frame = np.zeros((4, 16, 20), np.uint8)
    frame[2, 15, 19] = 9
    return Found(np.array(rows, np.float32).reshape(-1, 7), ["car", "bus"], frame, (32, 40), time_us, 50_000.0)


def test_a_detector_s_results_stand_on_the_recording_s_clock(rerun: Rerun, tmp_path: Path) -> None:
    file = tmp_path / "new" / "street.rrd"
    with RerunViewer(file) as shown:
        shown.show(found([[2, 2, 12, 10, 0.5, 0.8, 1], [0, 0, 4, 4, 1, 0.1, 0]], 1_700_000_000_050_000), min_score=0.3)
        shown.show(found([]), time_us=1_700_000_000_100_000)
        shown.show(found([], 1_700_000_000_150_000))
        assert not file.exists()
        with pytest.raises(UserError, match="time_us="):
            shown.show(found([]))
    assert file.is_file()
    assert not list(file.parent.glob(".*"))
    rows = rerun.streams[0].rows
    step = ["camera/events", "events_per_s"]
    assert [entity for _, entity, _ in rows] == [step[0], "camera/prediction", step[1]] * 2 + step
    assert [time - 1_700_000_000_000_000 for time, *_ in rows] == [50_000] * 3 + [100_000] * 3 + [150_000] * 2
    picture = cv2.imdecode(np.frombuffer(rows[0][2]["contents"], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (32, 40, 3)
    assert tuple(picture[31, 39, ::-1]) == DARK.on
    boxes, none = rows[1][2], rows[4][2]
    assert (boxes["centers"].tolist(), boxes["half_sizes"].tolist()) == ([[7, 6]], [[5, 4]])
    assert (boxes["labels"], boxes["class_ids"], boxes["track"].tolist()) == (["bus 0.40"], [1], [0])
    assert boxes["score"] == pytest.approx([0.4])
    assert boxes["colors"] == [(*DARK.class_colour(1), 255)]
    assert none["centers"].shape == (0, 2)  # the boxes of the window before end
    assert rows[2][2]["value"] == 180


def test_a_window_opens_and_may_be_closed_before_the_end(
    rerun: Rerun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(viewer, "open_window", lambda: None)
    with RerunViewer() as shown:
        rerun.streams[0].broken = True
        shown.show(found([], 50_000))
    assert rerun.streams[0].closed == ["connect_grpc", "send_recording_name", "set_log_time_enabled", "disconnect"]
    assert "not got everything: no room" in caplog.text


def test_a_full_disk_is_told_and_leaves_no_file(rerun: Rerun, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no room"), RerunViewer(tmp_path / "a.rrd"):
        rerun.streams[0].broken = True
    assert not list(tmp_path.iterdir())


def test_the_viewer_is_started_without_reports_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []

    class Ends:
        """A viewer that finds no display."""

        def __init__(self, command: list[str], env: dict[str, str], stderr: IO[bytes], **_: object) -> None:
            started.append(env)
            assert {"127.0.0.1", "rerun_cli"} <= set(command)
            stderr.write(b"Listening\nno screen\n")

        def poll(self) -> int:
            return 1

    monkeypatch.setattr(rerun_package, "_listening", lambda: False)
    monkeypatch.setattr(rerun_package.subprocess, "Popen", Ends)
    monkeypatch.setenv("FORCE_RERUN_ANALYTICS", "1")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("DISPLAY", ":1")
    with pytest.raises(UserError, match="no screen"):
        open_window()
    assert (started[0]["CI"], started[0]["RERUN_ANALYTICS"]) == ("1", "0")
    assert "FORCE_RERUN_ANALYTICS" not in started[0]
    assert "CI" not in os.environ
    for name in rerun_package._DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="no display"):
        open_window()
    assert len(started) == 1
    monkeypatch.setattr(rerun_package, "_listening", lambda: True)
    open_window()
    assert len(started) == 1


def test_what_does_not_end_well_leaves_no_file(rerun: Rerun, tmp_path: Path) -> None:
    with pytest.raises(KeyError), RerunViewer(tmp_path / "a.rrd"):
        raise KeyError
    with pytest.raises(UserError, match=r"ends in \.rrd"):
        RerunViewer(tmp_path / "a.mp4")
    rerun.streams.pop()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("module", "got"), [(None, "no module rerun"), (SimpleNamespace(), "another package")])
def test_without_the_package_one_message_says_what_to_install(
    module: object, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", module)  # type: ignore[arg-type]
    (tmp_path / "street.dat").touch()
    text = failure(capsys, "scripts/visualize.py", str(tmp_path / "street.dat"), "--viewer")
    assert got in text
    assert f"pip install {rerun_package.PACKAGE}" in text
    assert f'"{rerun_package.PACKAGE}"' in (REPOSITORY / "pyproject.toml").read_text()


def test_the_command_shows_labels_and_their_tracks(rerun: Rerun, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t = np.linspace(7_000, 207_000, 400).astype(np.int64)
    x, y, p = (rng.integers(0, size, 400) for size in (40, 32, 2))
    write_dat(tmp_path / "drive_td.dat", Events.from_arrays(t, x, y, p), 32, 40)
    boxes = np.zeros(2, dtype=BBOX_DTYPE)
    boxes[0], boxes[1] = (57_000, 10, 12, 8, 6, 0, 1, 1), (107_000, 11, 12, 8, 6, 0, 1, 1)
    write_bbox_npy(tmp_path / "drive_bbox.npy", boxes)
    file = tmp_path / "drive.rrd"
    options = ("--output", str(file), "--tracks", "--label-hold-ms", "0", "--classes", "car")
    assert run("scripts/visualize.py", str(tmp_path / "drive_td.dat"), *options) == 0
    assert file.is_file()
    rows = rerun.streams[0].rows
    rates = [part["value"] for _, entity, part in rows if entity == "events_per_s"]
    assert len(rates) == 4
    assert sum(rates) * 0.05 == pytest.approx(400, abs=1)  # the last event lies on the end
    labels = [(time, part["labels"], part["track"].tolist()) for time, name, part in rows if name.endswith("truth")]
    assert labels == [(57_000, ["#1 car"], [1]), (107_000, ["#1 car"], [1]), (157_000, [], [])]
