"""Charts: the same bytes for the same data, light, whole or not there, and nobody's settings change."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from utils.pictures.charts import COLOURS, chart, draw_bars


def test_the_same_data_give_the_same_bytes(tmp_path):
    written = []
    for line_width in (1.5, 9.0):  # somebody's own settings
        with mpl.rc_context({"lines.linewidth": line_width, "axes.facecolor": "black"}):
            buffer = io.BytesIO()
            with chart(buffer, (5, 3), title="all") as ((axis,),):
                axis.plot([0, 1, 4])
            written.append(buffer.getvalue())
            assert mpl.rcParams["lines.linewidth"] == line_width
    assert written[0] == written[1]
    with chart(tmp_path / "new" / "a.png", (5, 3), title="all") as ((axis,),):
        axis.plot([0, 1, 4])
    assert (tmp_path / "new" / "a.png").read_bytes() == written[0]
    with Image.open(io.BytesIO(written[0])) as picture:
        assert picture.size == (500, 300)
        assert np.asarray(picture.convert("L")).mean() > 200


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), chart(tmp_path / "a.png", (5, 3)):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_bars_stand_side_by_side_in_colours_of_their_own():
    with chart(io.BytesIO(), (5, 3), columns=2, share_y="row") as ((axis, _),):
        draw_bars(axis, ["a", "b"], {"one": [1, 2], "two": [3, 4]}, "%.1f")
        bars = axis.patches
        assert [bar.get_height() for bar in bars] == [1, 2, 3, 4]
        assert bars[0].get_x() + bars[0].get_width() < bars[2].get_x() < 0.5
        assert [mpl.colors.to_hex(bars[index].get_facecolor()).upper() for index in (0, 2)] == list(COLOURS[:2])
        assert [text.get_text() for text in axis.get_xticklabels()] == ["a", "b"]
