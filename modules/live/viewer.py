"""Events and boxes in the Rerun viewer, at once or from a file, for programs and ``scripts/visualize.py --viewer``.

The package rerun-sdk is optional: it is imported when a viewer is made, and nowhere else.
"""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from modules.live.result import Found
from modules.playback.painting import Moment, Painter
from utils.atomic import atomic_path
from utils.errors import UserError
from utils.pictures.boxes import BoxKind, DrawnBox
from utils.pictures.drawing import THEMES
from utils.pictures.video import check_writable
from utils.settings import choice

PACKAGE = "rerun-sdk==0.41.0"
"""What ``pip install`` is given, as in ``pyproject.toml``."""

VIEWER_FILE = ".rrd"
"""Of a file that the viewer opens."""

_QUIET = {"CI": "1", "RERUN_ANALYTICS": "0", "FORCE_RERUN_ANALYTICS": None}
"""Variables that keep the viewer from reporting its use: 0.41 obeys the first, later ones the second, None is unset."""


@contextmanager
def _without_reports() -> Iterator[None]:
    """The environment in which rerun is loaded and its viewer started; afterwards it is what it was."""
    before = {name: os.environ.get(name) for name in _QUIET}
    try:
        _set_variables(_QUIET)
        yield
    finally:
        _set_variables(before)


def _set_variables(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def load_rerun() -> Any:
    """The module ``rerun``.

    Raises:
        UserError: the package is not installed, or another one of that name is.
    """
    got = "another package called rerun"
    try:
        with _without_reports():
            library = importlib.import_module("rerun")
        if hasattr(library, "RecordingStream"):
            return library
    except ModuleNotFoundError as error:
        got = f"no module {error.name}"
    raise UserError(
        expected="the package rerun-sdk, which this project does without elsewhere",
        got=got,
        where=f"--viewer, *{VIEWER_FILE} and RerunViewer",
        fix=f"pip install {PACKAGE}",
    )


class RerunViewer:
    """Shows one window after the other on the recording's own clock.

    >>> with RerunViewer("street.rrd") as viewer:  # doctest: +SKIP
    ...     for found in detector.detect("street.aedat4"):
    ...         viewer.show(found)

    Args:
        path: file to write, which appears whole when the viewer is closed; None opens a window now.
        name: what the viewer calls the recording.
        theme: one of ``utils.pictures.drawing.THEMES``.

    Raises:
        UserError: rerun-sdk is not installed, its window does not open, or a file that cannot be.
    """

    def __init__(self, path: Path | str | None = None, name: str = "events", theme: str = "dark") -> None:
        choice(theme, THEMES, "theme")
        self._rerun, self._theme = load_rerun(), THEMES[theme]
        self._stack, self._shown = ExitStack(), set[BoxKind]()
        self._stream = self._rerun.RecordingStream("events")
        if path is None:
            self._open_window()
        else:
            self._open_file(Path(path))
        self._stack.callback(self._stream.disconnect)
        self._stack.callback(self._stream.flush)
        self._stream.send_recording_name(name)
        self._stream.set_log_time_enabled(False)  # when it was written is no time of the recording
        atexit.register(self.close)

    def _open_file(self, path: Path) -> None:
        if path.suffix.lower() != VIEWER_FILE:
            raise UserError(
                expected=f"a file that ends in {VIEWER_FILE}", got=repr(path.name), where=str(path), fix="call it so"
            )
        check_writable(path)
        self._stream.save(self._stack.enter_context(atomic_path(path)), self._layout())

    def _open_window(self) -> None:
        program = Path(self._rerun.__file__).parents[1] / "rerun_cli" / "rerun"  # which need not be on the PATH
        own = str(program) if program.is_file() else None
        with _without_reports():
            self._rerun.spawn(
                recording=self._stream,
                executable_path=own,
                hide_welcome_screen=True,
                default_blueprint=self._layout(),
            )

    def _layout(self) -> Any:
        parts = self._rerun.blueprint
        picture, rate = parts.Spatial2DView(origin="camera"), parts.TimeSeriesView(origin="events_per_s")
        return parts.Blueprint(parts.Vertical(picture, rate, row_shares=[4, 1]))

    def show(self, found: Found, time_us: int | None = None, min_score: float = 0.0) -> None:
        """Show what a detector found in a window.

        Args:
            found: of ``StreamingDetector``.
            time_us: end of the window; None where ``found`` says it, as those of ``detect`` do.
            min_score: boxes with a smaller score are left out.

        Raises:
            UserError: nobody says the time.
        """
        time_us = found.time_us if time_us is None else time_us
        if time_us is None:
            raise UserError(
                expected="the time at which the window ends",
                got="a result of step, which does not know it",
                where="RerunViewer.show",
                fix="viewer.show(found, time_us=t[-1])",
            )
        self.add(found.moment(min_score), found.hw, int(time_us), found.window_us)

    def add(self, moment: Moment, hw: tuple[int, int], time_us: int, window_us: float | None) -> None:
        """Show a moment.

        Args:
            moment: its events and boxes.
            hw: height and width of the camera.
            time_us: on the recording's clock.
            window_us: length of the window of the events; without it there is no rate of events.
        """
        self._stream.set_time("time", duration=np.timedelta64(time_us, "us"))
        picture = cv2.cvtColor(Painter(self._theme, hw).events(moment, *hw), cv2.COLOR_RGB2BGR)
        done, png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        assert done
        self._stream.log("camera/events", self._rerun.EncodedImage(contents=png.tobytes(), media_type="image/png"))
        kinds = {box.kind for box in moment.boxes}
        for kind in sorted(kinds | self._shown, key=lambda kind: kind.value):  # those of the last window end here
            self._log_boxes(kind, [box for box in moment.boxes if box.kind is kind])
        self._shown = kinds
        if window_us is not None:
            rate = 1e6 * float(moment.counts.sum()) / window_us
            self._stream.log("events_per_s", self._rerun.Scalars(rate))

    def _log_boxes(self, kind: BoxKind, boxes: list[DrawnBox]) -> None:
        corners = np.array([box.xyxy for box in boxes], dtype=np.float64).reshape(-1, 4)
        scores = [np.nan if box.score is None else box.score for box in boxes]
        colours = [(*kind.colour(self._theme, box.class_id), round(255 * box.strength)) for box in boxes]
        self._stream.log(
            f"camera/{kind.value.replace(' ', '_')}",
            self._rerun.Boxes2D(
                centers=(corners[:, :2] + corners[:, 2:]) / 2,
                half_sizes=(corners[:, 2:] - corners[:, :2]) / 2,
                labels=[box.text for box in boxes],
                class_ids=[box.class_id for box in boxes],
                colors=colours,
            ),
            self._rerun.AnyValues(
                score=np.array(scores, dtype=np.float64), track=np.array([box.track for box in boxes], dtype=np.int64)
            ),
        )

    def close(self) -> None:
        """Hand over what is left; a file is whole then. Closing twice does nothing."""
        self.__exit__(None, None, None)

    def __enter__(self) -> RerunViewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        atexit.unregister(self.close)
        self._stack.__exit__(kind, error, trace)
