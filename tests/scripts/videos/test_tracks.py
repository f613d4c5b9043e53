"""Numbers and trails of what is drawn."""

from __future__ import annotations

from scripts.videos.tracks import TRAIL, with_tracks
from utils.pictures.boxes import BoxKind, DrawnBox


def box(x: float, panel: int = 0, strength: float = 1.0, kind: BoxKind = BoxKind.PREDICTION) -> DrawnBox:
    return DrawnBox((x, 10, x + 20, 30), kind, 0, "car", strength, panel=panel)


def test_an_object_keeps_its_number_and_draws_where_it_was() -> None:
    frames = [[box(100 + 2 * t), box(10 + t)] for t in range(TRAIL + 5)]
    frames[3].reverse()
    done = with_tracks(frames)
    assert [drawn.text for drawn in done[0]] == ["#1 car", "#2 car"]
    assert [drawn.text for drawn in done[3]] == ["#2 car", "#1 car"]
    assert done[2][0].trail == ((110, 20), (112, 20), (114, 20))
    assert len(done[-1][0].trail) == TRAIL
    assert frames[0][0].trail == ()


def test_panels_are_tracked_alone_and_what_fades_not_at_all() -> None:
    frames = [[box(10, 0), box(10, 1), box(90, 1, 0.5), box(50, 1, kind=BoxKind.IGNORED)], [], [box(11, 1)]]
    done = with_tracks(frames)
    assert [drawn.text for drawn in done[0]] == ["#1 car", "#1 car", "car", "car"]
    assert done[1] == []
    assert done[2][0].text == "#1 car"
    assert len(done[2][0].trail) == 2
    assert with_tracks([[], []]) == [[], []]
