from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from data.synthetic.config import STEP_US, WorldConfig, world_config
from data.synthetic.motion import MOVING_BEFORE_STOP_S, Course, clock, draw_stops, follow, pace
from data.synthetic.silhouettes import label_indices
from utils.errors import UserError

CONFIG = Path(__file__).parents[3] / "config" / "world"


def test_the_yaml_file_says_the_defaults_and_comments_every_key():
    path = CONFIG / "default.yaml"
    assert world_config(OmegaConf.to_container(OmegaConf.load(path))) == WorldConfig()
    for line in path.read_text().splitlines():
        if ":" in line and not line.rstrip().endswith(":"):
            assert "#" in line, line


def test_a_config_survives_the_way_through_a_dictionary():
    config = WorldConfig(height=64, label_rate_hz=4.0)
    assert world_config(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"height": 3}, "world.height"),
        ({"heigth": 64}, "heigth"),
        ({"height": "tall"}, "world.height"),
        ({"height": 64.5}, "world.height"),
        ({"label_rate_hz": 7}, "world.label_rate_hz"),
        ({"label_rate_hz": 0}, "world.label_rate_hz"),
        ({"render_rate_hz": 30}, "world.render_rate_hz"),
        ({"camera": {"horizon": [0.5, 0.4]}}, "world.camera.horizon"),
        ({"camera": {"horizon": 0.4}}, "world.camera.horizon"),
        ({"traffic": {"stop_share": 1.5}}, "world.traffic.stop_share"),
        ({"sensor": {"threshold": 0}}, "world.sensor.threshold"),
        ({"sensor": {"treshold": 0.2}}, "world.sensor"),
        ({"num_train": -1}, "world.num_train"),
    ],
)
def test_a_wrong_value_is_named(values, key):
    with pytest.raises(UserError, match=key):
        world_config(values)


@pytest.mark.parametrize("rate", [20.0, 10.0, 4.0, 1.0])
def test_labels_lie_on_window_ends(rate):
    config = WorldConfig(duration_s=3.0, label_rate_hz=rate)
    times = label_indices(config) * 1_000_000 // config.render_rate_hz
    assert times[0] == 100_000
    assert times[-1] <= config.duration_us
    assert not (times % STEP_US).any()
    assert set(np.diff(times).tolist()) == {round(1_000_000 / rate)}


def test_the_clock_stands_to_the_last_bit_in_a_stop():
    times = np.arange(400) / 200
    tau = clock(times, pace(times, [(0.8, 1.3)]))
    inside = (times >= 0.8) & (times <= 1.3)
    assert len(set(tau[inside].tolist())) == 1
    assert (np.diff(tau[~inside]) >= 0).all()
    assert tau[-1] < times[-1]


def test_an_object_passes_where_its_course_says_and_keeps_its_distance_range():
    times = np.arange(1201) / 200
    for at_s in (-0.5, 3.0, 6.5):
        track = follow(Course(at_s, 2.0, 10.0, 1.5, 0.0, (5.0, 20.0)), times)
        np.testing.assert_allclose(track.x, 2.0 + 1.5 * (times - at_s), atol=1e-9)
    track = follow(Course(0.0, 2.0, 10.0, 0.0, -3.0, (5.0, 20.0)), times)
    assert track.z.min() == 5.0
    assert track.moving[:300].all()
    assert not track.moving[400:].any()


def test_nothing_stops_before_it_has_moved():
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert all(start >= MOVING_BEFORE_STOP_S for start, _ in draw_stops(rng, (1, 5), (0.5, 1), 6.0))
