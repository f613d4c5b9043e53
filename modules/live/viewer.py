"""Events and boxes in the Rerun viewer, at once or from a file, for programs and ``scripts/visualize.py --viewer``.

The package rerun-sdk is optional: it is imported when a viewer is made, and nowhere else.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from modules.live.rerun_package import load_rerun, open_window
from modules.live.result import Found
from modules.playback.painting import Moment, Painter
from utils.atomic import atomic_path
from utils.errors import UserError
from utils.pictures.boxes import BoxKind, DrawnBox
from utils.pictures.drawing import THEMES
from utils.pictures.video import check_writable
from utils.settings import choice

VIEWER_FILE = ".rrd"
"""How names of files end that the viewer opens."""

_FLUSH_S = 30.0  # for a window that may be closed; files take what time they need

log = logging.getLogger(__name__)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what rerun raises for a full disk into a UserError about ``path``."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            expected="an output file that can be written",
            got=str(error),
            where=str(path),
            fix="choose another output path, or free space there",
        ) from error


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
        self._stream.send_recording_name(name)
        self._stream.set_log_time_enabled(False)  # when it was written is no time of the recording
        atexit.register(self.close)

    def _open_window(self) -> None:
        open_window()
        self._stream.connect_grpc(default_blueprint=self._layout())
        self._stack.callback(self._stream.disconnect)
        self._stack.callback(self._fill_window)

    def _fill_window(self) -> None:
        try:
            self._stream.flush(timeout_sec=_FLUSH_S)
        except RuntimeError as error:  # somebody closed it, which stops no work
            log.warning("the viewer has not got everything: %s", error)

    def _open_file(self, path: Path) -> None:
        if path.suffix.lower() != VIEWER_FILE:
            raise UserError(
                expected=f"a file that ends in {VIEWER_FILE}", got=repr(path.name), where=str(path), fix="call it so"
            )
        check_writable(path)
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(path))
            stack.callback(self._stream.disconnect)
            with _explained(path):
                self._stream.save(temporary, self._layout())
            stack.callback(self._fill_file, path)
            self._stack = stack.pop_all()

    def _fill_file(self, path: Path) -> None:
        with _explained(path):
            self._stream.flush()

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
