"""The picture of the house: floors, rooms with their lines, arrows for imports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.drawings.imports import COMMANDS, House, levels, room_of
from utils.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FLOORS = (
    (("utils", 0.0, 1.0),),
    (("data", 0.0, 0.61), ("models", 0.65, 0.97)),
    (("modules", 0.03, 0.94),),
    ((COMMANDS, 0.0, 1.0),),
)
"""From the ground up: floors with their left and right edges, as shares of the width."""
STAIRS = {
    (COMMANDS, "data"): 0.015,
    (COMMANDS, "modules"): 0.35,
    (COMMANDS, "models"): 0.955,
    (COMMANDS, "utils"): 0.985,
    ("modules", "data"): 0.3,
    ("modules", "utils"): 0.63,
    ("modules", "models"): 0.8,
    ("data", "utils"): 0.3,
    ("models", "utils"): 0.8,
}
"""Where the arrows between floors go down, as shares of the width; a pair that is not here is against the rules."""
COLOURS = {"utils": "#8d99ae", "data": "#2a9d8f", "models": "#e76f51", "modules": "#457b9d", COMMANDS: "#7a5c99"}
WIDTH, ROW, ROWS_APART = 16.0, 0.55, 0.42

Box = tuple[float, float, float, float]
"""Left, right, lower and upper edge, inches."""


def draw(house: House, path: Path) -> None:
    """Save the picture (.png): thin arrows within a floor, thick ones with their numbers between floors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    arrows = {(room_of(a), room_of(b)) for a, b in house.imports if room_of(a) != room_of(b)}
    rooms = {name: size for name, size in house.rooms().items() if size[1] > 1}  # without the __init__.py of a floor
    at, frames = places({name: levels(_of(name, rooms), arrows) for name in COLOURS})
    height = frames[COMMANDS][3] + 0.6
    figure = Figure(figsize=(WIDTH, height), dpi=90)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-0.2, WIDTH + 0.2), ylim=(-0.2, height - 0.4))
    axes.set_axis_off()
    for name, frame in frames.items():
        _draw_floor(axes, name, frame, sum(rooms[room][1] for room in _of(name, rooms)))
    _draw_stairs(axes, house, frames)
    for source, target in sorted(arrows):
        if source in at and target in at and _floor(source) == _floor(target):
            start, end = (
                ((at[source][0] + at[source][1]) / 2, at[source][2]),
                ((at[target][0] + at[target][1]) / 2, at[target][3]),
            )
            look = {"arrowstyle": "-|>", "color": COLOURS[_floor(source)], "alpha": 0.55, "lw": 0.9}
            axes.annotate("", end, start, arrowprops=look)
    for name, box in at.items():
        _draw_room(axes, name, box, *rooms[name])
    canvas.draw()
    with atomic_path(path) as temporary:
        Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(64).save(temporary, "PNG", optimize=True)


def places(heights: Mapping[str, Mapping[str, int]]) -> tuple[dict[str, Box], dict[str, Box]]:
    """Where every room and every floor is drawn.

    Args:
        heights: levels of the rooms of every floor; a full level takes several rows.
    """
    rooms: dict[str, Box] = {}
    floors: dict[str, Box] = {}
    bottom = 0.0
    for row in FLOORS:
        found: dict[str, Box] = {}
        for name, left, right in row:
            found |= _place_rooms(heights[name], left * WIDTH + 0.2, right * WIDTH - 0.2, bottom + 0.2)
        top = max((box[3] for box in found.values()), default=bottom) + 0.5
        floors |= {name: (left * WIDTH, right * WIDTH, bottom, top) for name, left, right in row}
        rooms |= found
        bottom = top + 0.6
    return rooms, floors


def _place_rooms(heights: Mapping[str, int], left: float, right: float, bottom: float) -> dict[str, Box]:
    in_a_row = int((right - left) / 1.5)
    found: dict[str, Box] = {}
    for level in range(max(heights.values(), default=-1) + 1):
        names = sorted(name for name, its in heights.items() if its == level)
        num_rows = -(-len(names) // in_a_row)
        for row in range(num_rows):
            part = names[row::num_rows]
            step = (right - left) / len(part)
            width = min(1.9, step - 0.12)
            for place, name in enumerate(part):
                start = left + (place + 0.5) * step - width / 2
                found[name] = (start, start + width, bottom, bottom + ROW)
            bottom += ROW + ROWS_APART
    return found


def _floor(room: str) -> str:
    return room.partition(".")[0]


def _of(floor: str, rooms: Mapping[str, tuple[int, int]]) -> list[str]:
    return [room for room in rooms if _floor(room) == floor]


def _draw_floor(axes: Axes, name: str, frame: Box, lines: int) -> None:
    _draw_box(axes, frame, name, alpha=0.12)
    words = f"{name}/" if name != COMMANDS else "train.py  predict.py  val.py  val_dst.py  scripts/  config/"
    words, colour = f"{words}   {lines:,} lines", COLOURS[name]
    axes.text(frame[0] + 0.15, frame[3] - 0.12, words, va="top", size=12, weight="bold", color=colour)


def _draw_stairs(axes: Axes, house: House, frames: Mapping[str, Box]) -> None:
    floors = [(_floor(room_of(source)), _floor(room_of(target))) for source, target in house.imports]
    for (source, target), share in STAIRS.items():
        x, low, colour = share * WIDTH, frames[source][2], COLOURS[source]
        look = {"arrowstyle": "-|>", "color": colour, "lw": 2.5, "mutation_scale": 18}
        axes.annotate("", (x, frames[target][3]), (x, low), arrowprops=look)
        words = f"{floors.count((source, target))} → {target}"
        if share < 0.9:
            axes.text(x + 0.1, low - 0.12, words, va="top", size=9, color=colour)
        else:  # side by side at the right edge: one below the other
            y = low - 0.12 - 8 * (share - 0.955)
            axes.text(0.95 * WIDTH, y, words, va="top", ha="right", size=9, color=colour)


def _draw_room(axes: Axes, name: str, box: Box, files: int, lines: int) -> None:
    _draw_box(axes, box, _floor(name), facecolor="white")
    middle, title = (box[0] + box[1]) / 2, name.partition(".")[2].removeprefix("scripts/")
    axes.text(middle, box[2] + 0.36, title, ha="center", va="center", size=8.5)
    words = f"{lines:,} lines" + (f", {files} files" if files > 1 else "")
    axes.text(middle, box[2] + 0.15, words, ha="center", va="center", size=7, color="#555555")


def _draw_box(axes: Axes, box: Box, floor: str, alpha: float = 1, facecolor: str = "") -> None:
    from matplotlib.patches import FancyBboxPatch

    left, right, low, high = box
    style, colour = "round,pad=0,rounding_size=0.1", COLOURS[floor]
    patch = FancyBboxPatch((left, low), right - left, high - low, boxstyle=style, alpha=alpha)
    patch.set_facecolor(facecolor or colour)
    patch.set_edgecolor(colour)
    patch.set_zorder(3 if facecolor else 1)
    axes.add_patch(patch)
