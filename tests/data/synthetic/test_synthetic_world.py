from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.synthetic.config import CameraConfig, SensorConfig, TrafficConfig, WorldConfig
from data.synthetic.motion import CameraPath, Course, follow
from data.synthetic.objects.cars import side_view
from data.synthetic.objects.figure import NO_LABEL, Figure
from data.synthetic.objects.pedestrians import pedestrian
from data.synthetic.population import CAR, PEDESTRIAN
from data.synthetic.recording import draw_scene, film, simulate
from data.synthetic.render import render
from data.synthetic.scene import Scene, gather_cast, pose_all, render_times
from data.synthetic.scenery import random_scenery
from data.synthetic.silhouettes import silhouettes

QUIET = SensorConfig(noise_hz=0, hot_pixel_share=0, threshold_spread=0, refractory_us=0)
SMALL = WorldConfig(height=48, width=64, duration_s=0.5, sensor=QUIET, min_side_px=2.0)
FOCAL = 0.9 * 64


def stage(config, *figures):
    """A scene with a standing camera and nothing but the given figures."""
    times = render_times(config)
    still = np.zeros_like(times)
    camera = CameraPath(still, still, still, still, np.zeros(len(times), bool))
    scenery = random_scenery(np.random.default_rng(5), config.height, config.width, 0.4, 0.4)
    return Scene(config.height, config.width, FOCAL, 1.4, 0.4 * config.height, 0.8, times, camera, scenery, figures)


def car(config, z=10.0, vx=4.0, x=0.0, at_s=0.25, stops=(), seed=0):
    track = follow(Course(at_s, x, z, vx, 0.0, (3.0, 50.0), stops), render_times(config))
    return Figure(CAR, side_view(np.random.default_rng(seed), 0.4, 10.0, track.walked), track, mirrored=vx < 0)


def walker(config, z=5.0, vx=1.2, x=0.0, at_s=0.25, frontal=False):
    track = follow(Course(at_s, x, z, vx, 0.0, (2.0, 50.0)), render_times(config))
    parts = pedestrian(np.random.default_rng(3), 0.4, 20.0, track.walked, track.pace, frontal)
    return Figure(PEDESTRIAN, parts, track, mirrored=vx < 0)


def shoot(config, *figures, seed=0):
    return film(stage(config, *figures), config, np.random.default_rng(seed))


def test_equal_seeds_give_equal_recordings_and_others_do_not():
    config = replace(SMALL, sensor=SensorConfig(), traffic=TrafficConfig(cars_per_s=(6, 6), pedestrians_per_s=(6, 6)))
    first, again = simulate(config, 3, "train", 1), simulate(config, 3, "train", 1)
    for name in ("t", "x", "y", "p"):
        np.testing.assert_array_equal(getattr(first.events, name), getattr(again.events, name))
    assert first.labels.boxes.tobytes() == again.labels.boxes.tobytes()
    assert len(first.labels.boxes) > 0
    for other in (simulate(config, 4, "train", 1), simulate(config, 3, "val", 1), simulate(config, 3, "train", 2)):
        assert len(other.events) != len(first.events)


def test_events_are_ordered_and_inside_and_boxes_are_inside_the_frame():
    config = replace(SMALL, traffic=TrafficConfig(cars_per_s=(10, 10), pedestrians_per_s=(10, 10)))
    config = replace(config, sensor=SensorConfig(noise_hz=5.0, hot_pixel_share=0.01))
    for index in range(3):
        recording = simulate(config, 0, "test", index)
        events, boxes = recording.events, recording.labels.boxes
        assert (np.diff(events.t) >= 0).all()
        assert events.t[0] > 0
        assert events.t[-1] <= config.duration_us
        assert events.x.max() < 64
        assert events.y.max() < 48
        assert len(boxes) > 10
        assert (boxes["x"] >= 0).all()
        assert (boxes["y"] >= 0).all()
        assert (boxes["x"] + boxes["w"] <= 64).all()
        assert (boxes["y"] + boxes["h"] <= 48).all()
        assert boxes["w"].min() >= config.min_side_px
        assert recording.labels.visible.min() >= config.min_visible_share
        assert recording.labels.visible.max() <= 1


@pytest.mark.parametrize("make", [car, walker])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_box_of_a_lone_mover_covers_its_events_tightly(make, sign):
    figure = make(SMALL, vx=sign * (4.0 if make is car else 1.2))
    bare = replace(figure, parts=[part for part in figure.parts if not part.shadow])
    recording = shoot(SMALL, bare)
    for box in recording.labels.boxes[recording.labels.boxes["t"] >= 150_000]:
        # Events of the last 10 ms lie where the object is now, but for the way it came.
        part = recording.events.window(int(box["t"]) - 10_000, int(box["t"]))
        assert len(part) > 10
        left, top, right, bottom = part.x.min(), part.y.min(), part.x.max() + 1, part.y.max() + 1
        assert box["x"] - 2 <= left
        assert right <= box["x"] + box["w"] + 2
        assert box["y"] - 1 <= top
        assert bottom <= box["y"] + box["h"] + 1
        assert right - left >= 0.6 * box["w"]
        assert bottom - top >= 0.6 * box["h"]


def test_a_stopped_object_is_silent_but_keeps_its_box():
    config = replace(SMALL, duration_s=1.0, sensor=replace(QUIET, noise_hz=0.1))
    recording = shoot(config, car(config, stops=((0.45, 0.8),), at_s=0.45))
    labels = recording.labels
    stopped = labels.boxes[(labels.boxes["t"] > 500_000) & (labels.boxes["t"] <= 800_000)]
    assert len(stopped) == 6
    assert len(np.unique(stopped[["x", "y", "w", "h"]])) == 1
    assert len(recording.events.window(460_000, 790_000)) < 0.4 * 48 * 64 * 0.1
    assert len(recording.events.window(0, 400_000)) > 500
    assert len(recording.events.window(850_000, 1_000_000)) > 100
    time = labels.boxes["t"]
    assert not labels.moving[(time > 500_000) & (time < 750_000)].any()
    assert labels.moving[time < 300_000].all()
    assert not labels.camera_moving.any()


def test_a_static_scene_without_noise_makes_no_event():
    assert len(shoot(SMALL, car(SMALL, vx=0.0), walker(SMALL, vx=0.0, x=1.0)).events) == 0


def test_noise_alone_has_the_rate_of_the_settings():
    sensor = SensorConfig(noise_hz=20.0, hot_pixel_share=0, refractory_us=0)
    recording = shoot(replace(SMALL, sensor=sensor))
    assert len(recording.events) == pytest.approx(20.0 * 48 * 64 * 0.5, rel=0.05)
    assert abs(recording.events.p.mean() - 0.5) < 0.02


def test_hot_pixels_fire_and_the_dead_time_is_kept():
    sensor = SensorConfig(noise_hz=0, hot_pixel_share=0.01, hot_pixel_hz=500.0, refractory_us=3000)
    events = shoot(replace(SMALL, sensor=sensor), car(SMALL)).events
    pixel = events.y.astype(np.int64) * 64 + events.x
    assert np.bincount(pixel).max() > 30
    order = np.lexsort((events.t, pixel))
    same = np.diff(pixel[order]) == 0
    assert np.diff(events.t[order])[same].min() >= 3000


def test_a_moving_camera_makes_the_background_fire():
    moving = replace(SMALL, camera=CameraConfig(always_standing_share=0.0, stands_per_10s=(0, 0)))
    none = TrafficConfig(cars_per_s=(0, 0), pedestrians_per_s=(0, 0), distractors_per_s=(0, 0))
    assert len(simulate(replace(moving, traffic=none), 0, "train", 0).events) > 300
    standing = replace(SMALL, camera=CameraConfig(always_standing_share=1.0), traffic=none)
    assert len(simulate(standing, 0, "train", 0).events) == 0


def test_the_nearer_object_hides_the_farther_one_whatever_their_order():
    near, far = car(SMALL, z=6.0, vx=0.0), car(SMALL, z=12.0, vx=0.0, seed=1)
    alone = silhouettes_of(stage(SMALL, far))
    assert alone[1][0] == pytest.approx(1.0)
    for figures, far_index in (((near, far), 1), ((far, near), 0)):
        boxes, shares = silhouettes_of(stage(SMALL, *figures))
        assert shares[1 - far_index] == pytest.approx(1.0)
        assert shares[far_index] < 0.3
        assert boxes[far_index].prod() ** 0.5 < alone[0][0].prod() ** 0.5 or shares[far_index] == 0
    labels = shoot(SMALL, far, near).labels.boxes
    assert set(labels["track_id"].tolist()) == {1}


def test_a_half_hidden_object_gets_the_box_of_its_visible_part():
    walk, drive = walker(SMALL, z=5.0, vx=0.0, x=-0.6), car(SMALL, z=9.0, vx=0.0)
    whole = silhouettes_of(stage(SMALL, drive))[0][0]
    rear = replace(walk, label=NO_LABEL)
    boxes, shares = silhouettes_of(stage(SMALL, drive, rear))
    assert 0.3 < shares[0] < 0.98
    assert shares[1] == 0
    assert boxes[0][2] <= whole[2]


def silhouettes_of(scene):
    return silhouettes(scene, gather_cast(scene), pose_all(scene, slice(40, 41)))


def test_what_leaves_the_frame_is_clipped_and_then_dropped():
    config = replace(SMALL, duration_s=1.5, min_visible_share=0.3)
    recording = shoot(config, car(config, z=10.0, vx=8.0, at_s=0.3))
    boxes = recording.labels.boxes
    assert boxes["t"].max() < 1_200_000
    last = boxes[-1]
    assert last["x"] + last["w"] == 64
    assert last["w"] < boxes["w"].max()
    assert recording.labels.visible[-1] < 0.9


def test_an_approaching_object_grows():
    times = render_times(SMALL)
    track = follow(Course(0.25, 0.0, 10.0, 0.0, -6.0, (3.0, 20.0)), times)
    figure = Figure(CAR, side_view(np.random.default_rng(0), 0.4, 20.0, track.walked), track)
    widths = shoot(SMALL, figure).labels.boxes["w"]
    assert (np.diff(widths) >= 0).all()
    assert widths[-1] > 1.2 * widths[0]


def test_luminance_is_positive_and_legs_move():
    scene = draw_scene(WorldConfig(height=48, width=64, duration_s=0.2), 0, "train", 0)
    frame = render(scene, gather_cast(scene), 0)
    assert frame.shape == (48, 64)
    assert 0 < frame.min() < frame.max() <= 1
    strides = shoot(replace(SMALL, duration_s=1.0), walker(replace(SMALL, duration_s=1.0), at_s=0.5)).labels.boxes["w"]
    assert strides.max() > 1.3 * strides.min()
